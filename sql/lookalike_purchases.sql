-- lookalike_purchases: who ordered anything on which day
-- Grain: one row per user and day of an order.
-- Inputs: events (from the first day that can matter to :day).
-- Window: the day of a purchase is that of its ts.
-- Owner: lookalikes
SELECT DISTINCT
    user_id,
    CAST(ts AS DATE) AS day
FROM events
WHERE event_type = 'order'
