-- daily_user_counts: how many events of each type each user had, and their prices, as received on
--   :day
-- Grain: one row per user, type and day on which the events happened.
-- Inputs: events (:day).
-- Window: the events received on :day, whenever they happened.
-- Price: minor units; price_sum is over the events that have a price, `prices` of them; paid is
--   price * quantity, one where the quantity is unknown.
-- Owner: features
WITH dated AS (
    SELECT
        user_id,
        event_type,
        CAST(ts AS DATE) AS happened_on,
        price,
        quantity
    FROM events
)

SELECT
    user_id,
    event_type,
    happened_on,
    COUNT(*) AS n,
    CAST(COALESCE(SUM(price), 0) AS BIGINT) AS price_sum,
    COUNT(price) AS prices,
    CAST(COALESCE(SUM(price * COALESCE(quantity, 1)), 0) AS BIGINT) AS paid
FROM dated
GROUP BY user_id, event_type, happened_on
