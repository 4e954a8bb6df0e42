-- Rows of ranking_groups before their features, from listings: what was shown, and what of it was
-- put into the cart.
-- Grain: group_id, item_id. Reads: events known by D (19 days of receipt), listing_days (frame).
-- A cart is credited to the customer's last impression of the item before it, in its session;
-- attribution closes a day after the listing. Training takes `groups_per_platform` listings with a
-- cart per platform and day (one without has no pair to learn from) and keeps the share of their
-- negatives whose hash is below `negatives_below`; the last `held_out_days` listing days also keep
-- `measured_groups` listings whole, at natural platform shares. Owner: retrain_ranker.
WITH shown AS (
    SELECT
        event_id,
        ts,
        user_id,
        session_id,
        item_id,
        platform,
        surface,
        listing_id,
        listing_kind,
        position,
        is_explored
    FROM events
    WHERE event_type = 'impression'
),

listings AS (
    SELECT
        listing_id AS group_id,
        min(ts) AS listed_at,
        CAST(min(ts) AS DATE) AS listing_day,
        min(user_id) AS user_id,
        min(platform) AS platform,
        min(surface) AS surface,
        min(listing_kind) AS listing_kind,
        count(*) = count_if(is_explored) AS is_shuffled
    FROM shown
    WHERE listing_id IS NOT NULL
    GROUP BY listing_id
),

credited AS (
    SELECT
        shown.listing_id AS group_id,
        shown.item_id,
        CAST(carts.ts AS DATE) AS cart_day
    FROM events AS carts
    INNER JOIN shown
        ON
            carts.user_id = shown.user_id
            AND carts.session_id = shown.session_id
            AND carts.item_id = shown.item_id
            AND carts.ts >= shown.ts
    WHERE carts.event_type = 'cart'
    QUALIFY row_number() OVER (
        PARTITION BY carts.event_id ORDER BY shown.ts DESC, shown.event_id ASC
    ) = 1
),

positives AS (
    SELECT DISTINCT
        credited.group_id,
        credited.item_id
    FROM credited
    INNER JOIN listings ON credited.group_id = listings.group_id
    WHERE credited.cart_day <= listings.listing_day + 1
),

carted AS (
    SELECT DISTINCT group_id
    FROM positives
),

ready AS (
    SELECT
        listings.*,
        carted.group_id IS NOT NULL AS has_label,
        md5(:salt || ':' || listings.group_id) AS draw,
        dense_rank() OVER (ORDER BY listings.listing_day DESC) AS days_back
    FROM listings
    INNER JOIN listing_days ON listings.listing_day = listing_days.listing_day
    LEFT JOIN carted ON listings.group_id = carted.group_id
    WHERE listing_days.is_ready
),

drawn AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY listing_day, platform, has_label ORDER BY draw, group_id
        ) AS platform_place,
        row_number() OVER (PARTITION BY listing_day ORDER BY draw, group_id) AS day_place
    FROM ready
),

chosen AS (
    SELECT
        *,
        has_label AND platform_place <= :groups_per_platform AS is_training_group,
        days_back <= :held_out_days AND day_place <= :measured_groups AS is_measured
    FROM drawn
),

listed AS (
    SELECT
        chosen.group_id,
        shown.item_id,
        chosen.listing_day,
        chosen.listed_at,
        chosen.user_id,
        chosen.platform,
        chosen.surface,
        chosen.listing_kind,
        chosen.is_shuffled,
        chosen.is_training_group,
        chosen.is_measured,
        chosen.days_back = 1 AS is_held_out,
        shown.position,
        CASE WHEN positives.item_id IS NULL THEN 0 ELSE 1 END AS label,
        md5(:salt || ':' || chosen.group_id || ':' || shown.item_id) AS draw
    FROM chosen
    INNER JOIN shown ON chosen.group_id = shown.listing_id
    LEFT JOIN positives
        ON chosen.group_id = positives.group_id AND shown.item_id = positives.item_id
    WHERE chosen.is_training_group OR chosen.is_measured
    QUALIFY row_number() OVER (
        PARTITION BY chosen.group_id, shown.item_id
        ORDER BY shown.ts ASC, shown.position ASC NULLS LAST, shown.event_id ASC
    ) = 1
),

kept AS (
    SELECT
        *,
        is_training_group AND (label = 1 OR substr(draw, 1, 4) < :negatives_below) AS is_trained
    FROM listed
)

SELECT
    group_id,
    item_id,
    listing_day,
    listed_at,
    user_id,
    platform,
    surface,
    listing_kind,
    is_shuffled,
    is_trained,
    is_measured,
    is_held_out,
    position,
    CAST(label AS BIGINT) AS label
FROM kept
WHERE is_trained OR is_measured
ORDER BY group_id, item_id
