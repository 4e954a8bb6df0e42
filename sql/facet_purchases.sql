-- facet_purchases: without impressions, what customers bought beside what others bought
-- Grain: one row per basket (customer and day of purchase) and item of its choice set.
-- Inputs: events, items (an empty night carries the last snapshot on), user_segments and
--   segment_scores of the days before the purchases, listing_days (day, known_day: the day before).
-- Window: a purchase belongs to the day of its ts.
-- The choice set: the bought items, and of the items that others bought that day a sample: the
--   :pool_items first by hash, each basket keeping those whose hash is below :kept_below.
-- carted means bought here. There is no position and so no p_examined; the sampled items were not
--   known to be seen, which the weights' reason says.
-- Owner: facets
WITH catalogue_days AS (
    SELECT DISTINCT dt FROM items
),

snapshots AS (
    SELECT
        listing_days.known_day,
        MAX(catalogue_days.dt) AS snapshot_day
    FROM listing_days
    INNER JOIN catalogue_days ON listing_days.known_day >= catalogue_days.dt
    GROUP BY listing_days.known_day
),

bought AS (
    SELECT DISTINCT
        e.user_id,
        e.item_id,
        listing_days.day AS listing_day,
        listing_days.known_day,
        e.user_id || ':' || CAST(listing_days.day AS STRING) AS listing_id
    FROM events AS e
    INNER JOIN listing_days ON CAST(e.ts AS DATE) = listing_days.day
    WHERE e.event_type = 'order'
),

on_sale AS (
    SELECT DISTINCT
        listing_day,
        item_id
    FROM bought
),

pool AS (
    SELECT
        listing_day,
        item_id
    FROM on_sale
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY listing_day
        ORDER BY MD5(CAST(listing_day AS STRING) || ':' || item_id) ASC, item_id ASC
    ) <= :pool_items
),

baskets AS (
    SELECT DISTINCT
        listing_id,
        user_id,
        listing_day,
        known_day
    FROM bought
),

choices AS (
    SELECT
        bought.listing_id,
        bought.item_id,
        bought.user_id,
        bought.known_day,
        TRUE AS is_carted
    FROM bought
    UNION ALL
    SELECT
        baskets.listing_id,
        pool.item_id,
        baskets.user_id,
        baskets.known_day,
        FALSE AS is_carted
    FROM baskets
    INNER JOIN pool ON baskets.listing_day = pool.listing_day
    LEFT JOIN bought
        ON baskets.listing_id = bought.listing_id AND pool.item_id = bought.item_id
    WHERE
        bought.item_id IS NULL
        AND SUBSTR(MD5(baskets.listing_id || ':' || pool.item_id), 1, 4) < :kept_below
)

SELECT
    choices.listing_id,
    choices.item_id,
    choices.user_id,
    choices.known_day,
    snapshots.snapshot_day,
    items.category_group,
    choices.is_carted,
    FALSE AS is_choice,
    TRUE AS is_sampled,
    CAST(NULL AS DOUBLE) AS p_examined,
    CAST(COALESCE(own.sf_pos, everyone.sf_pos) AS DOUBLE) AS sf_pos
FROM choices
INNER JOIN snapshots ON choices.known_day = snapshots.known_day
INNER JOIN items ON choices.item_id = items.item_id AND snapshots.snapshot_day = items.dt
LEFT JOIN user_segments
    ON choices.user_id = user_segments.user_id AND choices.known_day = user_segments.dt
LEFT JOIN segment_scores AS own
    ON
        COALESCE(user_segments.segment, :unknown_segment) = own.segment
        AND choices.item_id = own.item_id
        AND choices.known_day = own.dt
LEFT JOIN segment_scores AS everyone
    ON
        everyone.segment = 'all'
        AND choices.item_id = everyone.item_id
        AND choices.known_day = everyone.dt
