-- lookalike_features: normalised counters of what people looked at, up to the day before :day
-- Grain: one row per user, attribute and value with an act in the window.
-- Inputs: events (the calendar's days), items and item_attributes (7 days: an empty night carries
--   the last snapshot on), calendar (day, age_days; 0 is the day before :day). Nothing of :day
--   itself is read: the gap of one day is the least that an anchor allows.
-- Window: an act counts when its day of receipt and its day of ts are both in the calendar.
-- share = acts on items with the value / (acts over all values of the attribute + 5): five acts of
--   nothing, so that who looked once is not taken for a devotee. Acts are views; where the source
--   has none in the window, orders.
-- activity, orders, recency: one value each, a bucket of how many acts and orders and how many days
--   ago the last act was; their share is 1.
-- activity_grade, orders_grade: about h and more, share = n / (n + h), a half at h, so that people
--   of one bucket can be told apart.
-- Owner: lookalikes
WITH counted AS (
    SELECT
        e.user_id,
        e.item_id,
        e.event_type,
        COUNT(*) AS acts,
        MIN(happened.age_days) AS age_days
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened ON CAST(e.ts AS DATE) = happened.day
    WHERE e.event_type IN ('view', 'order')
    GROUP BY e.user_id, e.item_id, e.event_type
),

basis AS (
    SELECT CASE WHEN COUNT_IF(event_type = 'view') > 0 THEN 'view' ELSE 'order' END AS event_type
    FROM counted
),

acted AS (
    SELECT
        counted.user_id,
        counted.item_id,
        counted.acts
    FROM counted
    INNER JOIN basis ON counted.event_type = basis.event_type
),

described AS (
    SELECT
        item_id,
        attribute,
        value
    FROM item_attributes
    WHERE dt = (SELECT MAX(newest.dt) FROM item_attributes AS newest)
    UNION ALL
    SELECT
        item_id,
        'category_group' AS attribute,
        category_group AS value
    FROM items
    WHERE dt = (SELECT MAX(newest.dt) FROM items AS newest)
),

valued AS (
    SELECT
        acted.user_id,
        described.attribute,
        described.value,
        CAST(SUM(acted.acts) AS BIGINT) AS acts
    FROM acted
    INNER JOIN described ON acted.item_id = described.item_id
    GROUP BY acted.user_id, described.attribute, described.value
),

shared AS (
    SELECT
        user_id,
        attribute,
        value,
        CAST(acts AS DOUBLE) / CAST(
            SUM(acts) OVER (PARTITION BY user_id, attribute) + 5 AS DOUBLE
        ) AS share
    FROM valued
),

people AS (
    SELECT
        counted.user_id,
        CAST(
            COALESCE(SUM(counted.acts) FILTER (WHERE counted.event_type = basis.event_type), 0)
            AS BIGINT
        ) AS acts,
        CAST(
            COALESCE(SUM(counted.acts) FILTER (WHERE counted.event_type = 'order'), 0) AS BIGINT
        ) AS orders,
        MIN(counted.age_days) AS age_days
    FROM counted
    CROSS JOIN basis
    GROUP BY counted.user_id
),

bucketed AS (
    SELECT
        user_id,
        'activity' AS attribute,
        CASE
            WHEN acts <= 1 THEN '0 to 1'
            WHEN acts <= 3 THEN '2 to 3'
            WHEN acts <= 7 THEN '4 to 7'
            WHEN acts <= 15 THEN '8 to 15'
            WHEN acts <= 31 THEN '16 to 31'
            WHEN acts <= 63 THEN '32 to 63'
            ELSE '64 or more'
        END AS value
    FROM people
    UNION ALL
    SELECT
        user_id,
        'orders' AS attribute,
        CASE
            WHEN orders = 0 THEN '0'
            WHEN orders = 1 THEN '1'
            WHEN orders <= 3 THEN '2 to 3'
            WHEN orders <= 15 THEN '4 to 15'
            ELSE '16 or more'
        END AS value
    FROM people
    UNION ALL
    SELECT
        user_id,
        'recency' AS attribute,
        CASE
            WHEN age_days <= 1 THEN '0 to 1'
            WHEN age_days <= 3 THEN '2 to 3'
            WHEN age_days <= 7 THEN '4 to 7'
            ELSE '8 or more'
        END AS value
    FROM people
),

grades AS (
    SELECT
        named.attribute,
        named.value,
        named.half
    FROM (
        VALUES
        ('activity_grade', 'about 5 and more', 5),
        ('activity_grade', 'about 20 and more', 20),
        ('activity_grade', 'about 80 and more', 80),
        ('orders_grade', 'about 1 and more', 1),
        ('orders_grade', 'about 4 and more', 4)
    ) AS named (attribute, value, half)
),

graded AS (
    SELECT
        people.user_id,
        grades.attribute,
        grades.value,
        CASE WHEN grades.attribute = 'orders_grade' THEN people.orders ELSE people.acts END AS n,
        grades.half
    FROM people
    CROSS JOIN grades
)

SELECT
    user_id,
    attribute,
    value,
    share
FROM shared
UNION ALL
SELECT
    user_id,
    attribute,
    value,
    CAST(n AS DOUBLE) / CAST(n + half AS DOUBLE) AS share
FROM graded
WHERE n > 0
UNION ALL
SELECT
    user_id,
    attribute,
    value,
    CAST(1 AS DOUBLE) AS share
FROM bucketed
