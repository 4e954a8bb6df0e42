-- candidate_shown: what users were shown and examined, and what they touched
-- Grain: one row per user, item and day of receipt with an examined impression or a touch.
-- Inputs: events, examination (partitions of a window that ends with :day).
-- Window: by day of receipt, so that of an earlier day the same rows are known; ts is not later
--   than :day.
-- examined_ppm: millionths of P(examined) of platform, surface and position, summed over the
--   impressions where it is at least :least_examined, as the day of receipt estimated it; positions
--   deeper than any estimated are as the deepest.
-- is_touched: viewed, made a favourite, carted or ordered.
-- Owner: candidates
WITH deepest AS (
    SELECT
        dt,
        platform,
        surface,
        max(position) AS position
    FROM examination
    GROUP BY dt, platform, surface
),

counted AS (
    SELECT
        e.user_id,
        e.item_id,
        e.dt,
        CASE
            WHEN e.event_type = 'impression' AND examination.p_examined >= :least_examined
                THEN CAST(floor(examination.p_examined * 1000000) AS BIGINT)
            ELSE 0
        END AS examined_ppm,
        CASE WHEN e.event_type = 'impression' THEN 0 ELSE 1 END AS touches
    FROM events AS e
    LEFT JOIN deepest
        ON e.dt = deepest.dt AND e.platform = deepest.platform AND e.surface = deepest.surface
    LEFT JOIN examination
        ON
            e.dt = examination.dt
            AND e.platform = examination.platform
            AND e.surface = examination.surface
            AND e.position IS NOT NULL
            AND least(e.position, deepest.position) = examination.position
    WHERE
        e.event_type IN ('impression', 'view', 'favorite', 'cart', 'order')
        AND CAST(e.ts AS DATE) <= :day
)

SELECT
    user_id,
    item_id,
    dt,
    CAST(sum(examined_ppm) AS BIGINT) AS examined_ppm,
    max(touches) = 1 AS is_touched
FROM counted
GROUP BY user_id, item_id, dt
HAVING sum(examined_ppm) > 0 OR max(touches) = 1
