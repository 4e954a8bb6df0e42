-- ranking_candidates: rows of ranking_groups before their features, where no impression is logged
-- Grain: one row per group (a buyer's listing day) and item, of all generators together.
-- Inputs: events known by :day, candidates, listing_days (frame: listing_day, is_ready) and
--   candidate_days (frame: listing_day, generator, candidate_day; always before the listing day).
-- Window: the listing days.
-- label: the item was ordered on the listing day, after the candidates were made.
-- is_trained, is_measured: drawn as in ranking_listings.
-- Owner: ranker
WITH bought AS (
    SELECT
        user_id,
        item_id,
        CAST(ts AS DATE) AS listing_day,
        min(ts) AS listed_at,
        min(platform) AS platform,
        min(surface) AS surface
    FROM events
    WHERE event_type = 'order'
    GROUP BY user_id, item_id, CAST(ts AS DATE)
),

buyers AS (
    SELECT
        bought.user_id || ':' || CAST(bought.listing_day AS STRING) AS group_id,
        bought.user_id,
        bought.listing_day,
        min(bought.listed_at) AS listed_at,
        min(bought.platform) AS platform,
        min(bought.surface) AS surface
    FROM bought
    INNER JOIN listing_days ON bought.listing_day = listing_days.listing_day
    WHERE listing_days.is_ready
    GROUP BY bought.user_id, bought.listing_day
),

proposed AS (
    SELECT DISTINCT
        buyers.group_id,
        candidates.item_id
    FROM buyers
    INNER JOIN candidate_days ON buyers.listing_day = candidate_days.listing_day
    INNER JOIN candidates
        ON
            candidate_days.candidate_day = candidates.dt
            AND candidate_days.generator = candidates.generator
            AND buyers.user_id = candidates.user_id
),

labelled AS (
    SELECT
        buyers.group_id,
        proposed.item_id,
        buyers.listing_day,
        buyers.listed_at,
        buyers.user_id,
        buyers.platform,
        buyers.surface,
        CASE WHEN bought.item_id IS NULL THEN 0 ELSE 1 END AS label
    FROM buyers
    INNER JOIN proposed ON buyers.group_id = proposed.group_id
    LEFT JOIN bought
        ON
            buyers.user_id = bought.user_id
            AND buyers.listing_day = bought.listing_day
            AND proposed.item_id = bought.item_id
),

ready AS (
    SELECT
        group_id,
        listing_day,
        platform,
        max(label) = 1 AS has_label,
        md5(:salt || ':' || group_id) AS draw,
        dense_rank() OVER (ORDER BY listing_day DESC) AS days_back
    FROM labelled
    GROUP BY group_id, listing_day, platform
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
        group_id,
        has_label AND platform_place <= :groups_per_platform AS is_training_group,
        days_back <= :held_out_days AND day_place <= :measured_groups AS is_measured,
        days_back = 1 AS is_held_out
    FROM drawn
),

kept AS (
    SELECT
        labelled.*,
        chosen.is_measured,
        chosen.is_held_out,
        chosen.is_training_group AND (
            labelled.label = 1
            OR substr(md5(:salt || ':' || labelled.group_id || ':' || labelled.item_id), 1, 4)
            < :negatives_below
        ) AS is_trained
    FROM labelled
    INNER JOIN chosen ON labelled.group_id = chosen.group_id
)

SELECT
    group_id,
    item_id,
    listing_day,
    listed_at,
    user_id,
    platform,
    surface,
    CAST(NULL AS STRING) AS listing_kind,
    FALSE AS is_shuffled,
    is_trained,
    is_measured,
    is_held_out,
    FALSE AS is_shown,
    CAST(NULL AS INT) AS position,
    CAST(label AS BIGINT) AS label
FROM kept
WHERE is_trained OR is_measured
