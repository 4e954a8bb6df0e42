-- user_sequences: the last items each user acted on, as known on :day
-- Grain: one row per user and position; position 1 is the oldest kept, the newest comes last.
-- Inputs: daily_acts (every day of the calendar), calendar.
-- Window: events received and dated within the calendar. Views, favorites, carts and orders count;
--   a run of acts on one item (view, cart, order) is one step, kept as its last act.
-- Owner: features
WITH acts AS (
    SELECT
        done.user_id,
        done.item_id,
        done.event_type,
        done.ts,
        done.event_id,
        LAG(done.item_id)
            OVER (PARTITION BY done.user_id ORDER BY done.ts DESC, done.event_id DESC)
            AS next_item
    FROM daily_acts AS done
    INNER JOIN calendar AS received ON done.dt = received.day
    INNER JOIN calendar AS happened ON done.happened_on = happened.day
    WHERE done.event_type IN ('view', 'favorite', 'cart', 'order')
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
