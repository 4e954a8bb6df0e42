-- examination: impressions and clicks by position, from which P(examined) is estimated
-- Grain: one row per platform, surface, arrangement and position with an impression in the last 30
--   days.
-- Inputs: events (30 days), calendar.
-- Window: an impression counts when its day of receipt and its day of ts are both among the last 30
--   days; it was clicked when the same listing led to a view of the same item.
-- arrangement: items of listings of the kind 'shuffled' and in explored slots of others stand by
--   chance, so clicks by position say there what position does; the rest is 'ranked', where they
--   say also what the ranking knew; ranked ones are the bulk and only counted with_ranked = 1.
--   Positions past max_position count as max_position.
-- Owner: segments
WITH counted AS (
    SELECT
        e.listing_id,
        e.item_id,
        e.event_type,
        e.platform,
        e.surface,
        CASE WHEN e.position > :max_position THEN :max_position ELSE e.position END AS position,
        CASE
            WHEN e.listing_kind = 'shuffled' THEN 'shuffled'
            WHEN e.is_explored THEN 'explored'
            ELSE 'ranked'
        END AS arrangement
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened
        ON
            happened.day = CASE
                WHEN e.ts >= received.starts_at AND e.ts < received.ends_at THEN e.dt
                ELSE CAST(e.ts AS DATE)
            END
    WHERE
        e.listing_id IS NOT NULL
        AND e.event_type IN ('impression', 'view')
        AND received.age_days < 30
        AND happened.age_days < 30
        AND (
            e.event_type = 'view'
            OR e.listing_kind = 'shuffled'
            OR e.is_explored
            OR :with_ranked = 1
        )
),

clicked AS (
    SELECT DISTINCT
        listing_id,
        item_id
    FROM counted
    WHERE event_type = 'view'
)

SELECT
    shown.platform,
    shown.surface,
    shown.arrangement,
    shown.position,
    COUNT(*) AS impressions,
    COUNT(clicked.item_id) AS clicks
FROM counted AS shown
LEFT JOIN clicked ON shown.listing_id = clicked.listing_id AND shown.item_id = clicked.item_id
WHERE shown.event_type = 'impression' AND shown.position IS NOT NULL
GROUP BY shown.platform, shown.surface, shown.arrangement, shown.position
