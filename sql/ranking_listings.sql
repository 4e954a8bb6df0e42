-- ranking_listings: rows of ranking_groups before their features, from what was shown
-- Grain: one row per group (a listing) and item.
-- Inputs: events known by :day, listing_days (frame: listing_day, is_ready).
-- Window: the listing days; attribution closes a day after the listing.
-- label: a cart, credited to the customer's last impression of the item before it, in its session.
-- is_shuffled: a list of the kind 'shuffled', in which items stand by chance.
-- is_trained: of the :groups_per_platform listings with a cart drawn per platform and day (one
--   without a cart has no pair to learn from), the carts and the negatives whose hash is below
--   :negatives_below; never of a shuffled list of the last :held_out_days listing days.
-- is_measured: of the :measured_groups listings drawn from each of the last :held_out_days listing
--   days, at natural platform shares, every row.
-- Every shuffled list of these days is kept whole besides: they are too few for a draw to find.
-- Owner: ranker
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
        position
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
        COALESCE(min(listing_kind) = 'shuffled', FALSE) AS is_shuffled
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

teaching AS (
    SELECT
        *,
        is_shuffled AND days_back <= :held_out_days AS is_spared,
        has_label AND NOT (is_shuffled AND days_back <= :held_out_days) AS can_teach
    FROM ready
),

drawn AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY listing_day, platform, can_teach ORDER BY draw, group_id
        ) AS platform_place,
        row_number() OVER (PARTITION BY listing_day ORDER BY draw, group_id) AS day_place
    FROM teaching
),

chosen AS (
    SELECT
        *,
        can_teach AND platform_place <= :groups_per_platform AS is_training_group,
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
        chosen.is_spared,
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
    WHERE chosen.is_training_group OR chosen.is_measured OR chosen.is_spared
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
    TRUE AS is_shown,
    position,
    CAST(label AS BIGINT) AS label
FROM kept
WHERE is_trained OR is_measured OR is_spared
