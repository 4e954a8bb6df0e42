-- demand_lags: units ordered of each item in each city on the days behind tomorrow
-- Grain: one row per item and city with an order in the last 28 days.
-- Inputs: daily_acts (28 days), calendar.
-- Window: lag_k is demand k days before :day + 1, so lag_1 is :day itself, the newest that is known
--   when tomorrow is forecast; by day of ts, a day without orders is 0. Orders of no known city
--   count under 'unknown'; an order without quantity is one unit.
-- mean_week = mean of lag_1..lag_7, mean_same_weekday = mean of lag_7, lag_14, lag_21, lag_28.
-- Owner: features
WITH ordered AS (
    SELECT
        done.item_id,
        COALESCE(done.city, 'unknown') AS city,
        COALESCE(done.quantity, 1) AS units,
        happened.age_days
    FROM daily_acts AS done
    INNER JOIN calendar AS received ON done.dt = received.day
    INNER JOIN calendar AS happened ON done.happened_on = happened.day
    WHERE done.event_type = 'order' AND received.age_days < 28 AND happened.age_days < 28
),

lags AS (
    SELECT
        item_id,
        city,
        CAST(SUM(CASE WHEN age_days = 0 THEN units ELSE 0 END) AS BIGINT) AS lag_1,
        CAST(SUM(CASE WHEN age_days = 1 THEN units ELSE 0 END) AS BIGINT) AS lag_2,
        CAST(SUM(CASE WHEN age_days = 2 THEN units ELSE 0 END) AS BIGINT) AS lag_3,
        CAST(SUM(CASE WHEN age_days = 3 THEN units ELSE 0 END) AS BIGINT) AS lag_4,
        CAST(SUM(CASE WHEN age_days = 4 THEN units ELSE 0 END) AS BIGINT) AS lag_5,
        CAST(SUM(CASE WHEN age_days = 5 THEN units ELSE 0 END) AS BIGINT) AS lag_6,
        CAST(SUM(CASE WHEN age_days = 6 THEN units ELSE 0 END) AS BIGINT) AS lag_7,
        CAST(SUM(CASE WHEN age_days = 13 THEN units ELSE 0 END) AS BIGINT) AS lag_14,
        CAST(SUM(CASE WHEN age_days = 20 THEN units ELSE 0 END) AS BIGINT) AS lag_21,
        CAST(SUM(CASE WHEN age_days = 27 THEN units ELSE 0 END) AS BIGINT) AS lag_28
    FROM ordered
    GROUP BY item_id, city
)

SELECT
    item_id,
    city,
    lag_1,
    lag_2,
    lag_3,
    lag_4,
    lag_5,
    lag_6,
    lag_7,
    lag_14,
    lag_21,
    lag_28,
    CAST(lag_1 + lag_2 + lag_3 + lag_4 + lag_5 + lag_6 + lag_7 AS DOUBLE) / 7e0 AS mean_week,
    CAST(lag_7 + lag_14 + lag_21 + lag_28 AS DOUBLE) / 4e0 AS mean_same_weekday
FROM lags
