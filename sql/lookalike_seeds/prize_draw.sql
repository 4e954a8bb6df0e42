-- name: prize_draw
-- Owner: marketing
-- seed: drawn by lot, whoever it is: the placebo, whose card has to refuse a threshold
-- rule: none
-- window_days: 14
-- gap_days: 1
-- horizon_days: 7
-- lasting_trait: no
-- Grain: one row per customer and day of a draw that picked them.
-- Inputs: customers (7 days of snapshots), events (from the first day that can matter to :day; only
--   their days).
-- Window: six draws a month; each picks 5% of the customers by a hash of customer and day, which
--   nothing that anybody did can foretell.
WITH draws AS (
    SELECT DISTINCT CAST(ts AS DATE) AS day
    FROM events
    WHERE EXTRACT(DAY FROM CAST(ts AS DATE)) IN (1, 6, 11, 16, 21, 26)
),

people AS (
    SELECT DISTINCT user_id
    FROM customers
)

SELECT
    people.user_id,
    draws.day
FROM people
CROSS JOIN draws
WHERE substr(md5(people.user_id || ':' || CAST(draws.day AS STRING)), 1, 4) < '0ccd'
