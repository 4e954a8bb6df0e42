-- segment_scores: examined impressions, views, carts and orders behind each segment's scores
-- Grain: one row per segment and item with an impression, view, cart or order in the last 30
--   days; without 'all', which the estimate sums itself.
-- Inputs: events (30 days), user_segments and examination (:day), calendar.
-- Window: an event counts when its day of receipt and its day of ts are both among the last 30
--   days.
-- examined_ppm: sum of P(examined) over the impressions, in millionths, so that it is an integer
--   sum; positions past max_position count as max_position, an impression of no known position as
--   examined. listed_views and listed_carts are those that came out of a listing.
-- Owner: segments
WITH counted AS (
    SELECT
        e.user_id,
        e.item_id,
        e.event_type,
        e.platform,
        e.surface,
        e.listing_id,
        CASE WHEN e.position > :max_position THEN :max_position ELSE e.position END AS position
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened
        ON
            happened.day = CASE
                WHEN e.ts >= received.starts_at AND e.ts < received.ends_at THEN e.dt
                ELSE CAST(e.ts AS DATE)
            END
    WHERE
        e.event_type IN ('impression', 'view', 'cart', 'order')
        AND received.age_days < 30
        AND happened.age_days < 30
),

seen AS (
    SELECT
        platform,
        surface,
        position,
        CAST(FLOOR(p_examined * 1e6) AS BIGINT) AS ppm
    FROM examination
)

SELECT
    user_segments.segment,
    counted.item_id,
    COUNT(*) FILTER (WHERE counted.event_type = 'impression') AS impressions,
    CAST(
        COALESCE(
            SUM(COALESCE(seen.ppm, 1000000)) FILTER (WHERE counted.event_type = 'impression'), 0
        ) AS BIGINT
    ) AS examined_ppm,
    COUNT(counted.listing_id) FILTER (WHERE counted.event_type = 'view') AS listed_views,
    COUNT(counted.listing_id) FILTER (WHERE counted.event_type = 'cart') AS listed_carts,
    COUNT(*) FILTER (WHERE counted.event_type = 'cart') AS carts,
    COUNT(*) FILTER (WHERE counted.event_type = 'order') AS orders
FROM counted
INNER JOIN user_segments ON counted.user_id = user_segments.user_id
LEFT JOIN seen
    ON
        counted.platform = seen.platform
        AND counted.surface = seen.surface
        AND counted.position = seen.position
GROUP BY user_segments.segment, counted.item_id
