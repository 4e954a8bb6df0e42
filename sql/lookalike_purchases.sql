-- lookalike_purchases: who ordered anything on which day
-- Grain: one row per user and day of an order.
-- Inputs: events (from the first anchor to :day).
-- Owner: lookalikes
SELECT DISTINCT
    user_id,
    CAST(ts AS DATE) AS day
FROM events
WHERE event_type = 'order'
