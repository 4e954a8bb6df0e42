-- mailing_outcomes: what everybody ordered in the days after a mailing
-- Grain: one row per user with an order.
-- Inputs: events (those received from :first to the day of measuring).
-- Window: the ts of an order lies on :first to :last; revenue is price * quantity in minor units,
--   one where the quantity and nothing where the price is unknown.
-- Owner: marketing
SELECT
    user_id,
    COUNT(*) AS orders,
    CAST(SUM(COALESCE(price, 0) * COALESCE(quantity, 1)) AS BIGINT) AS revenue
FROM events
WHERE event_type = 'order' AND CAST(ts AS DATE) BETWEEN :first AND :last
GROUP BY user_id
