-- user_sequences: the last items each user acted on, as known on :day
-- Grain: one row per user and position; position 1 is the oldest kept, the newest comes last.
-- Inputs: events (every day of the calendar), calendar.
-- Window: events received and dated within the calendar. Views, favorites, carts and orders count;
--   a run of acts on one item (view, cart, order) is one step, kept as its last act.
-- Owner: features
WITH acts AS (
    SELECT
        e.user_id,
        e.item_id,
        e.event_type,
        e.ts,
        e.event_id,
        LAG(e.item_id) OVER (PARTITION BY e.user_id ORDER BY e.ts DESC, e.event_id DESC)
            AS next_item
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened
        ON
            happened.day = CASE
                WHEN e.ts >= received.starts_at AND e.ts < received.ends_at THEN e.dt
                ELSE CAST(e.ts AS DATE)
            END
    WHERE e.event_type IN ('view', 'favorite', 'cart', 'order')
),

steps AS (
    SELECT
        user_id,
        item_id,
        event_type,
        ts,
        ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts DESC, event_id DESC) AS from_end
    FROM acts
    WHERE next_item IS NULL OR next_item <> item_id
),

kept AS (
    SELECT
        user_id,
        item_id,
        event_type,
        ts,
        from_end,
        COUNT(*) OVER (PARTITION BY user_id) AS steps
    FROM steps
    WHERE from_end <= :sequence_length
)

SELECT
    user_id,
    CAST(steps - from_end + 1 AS INT) AS position,
    item_id,
    event_type,
    ts
FROM kept
