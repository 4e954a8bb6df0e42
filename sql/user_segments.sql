-- user_segments: the evidence from which the declared rules name each user's segment
-- Grain: one row per customer of the newest snapshot or user with an event in the last 30 days.
-- Inputs: daily_acts and daily_user_counts (30 days), customers and item_attributes (7 days: an
--   empty night carries the last snapshot on), genders (value as the shop writes it, gender it
--   means), calendar.
-- Window: w days hold an event when its day of receipt and its day of ts are both among the last
--   w days, :day included; calendar gives each day's age, 0 for :day.
-- Act: any event but an impression. acts_women_30 and acts_men_30 are on items whose attribute
--   'gender' says for whom they are; customer_gender is what the shop was told.
-- Owner: segments
WITH acts AS (
    SELECT
        done.user_id,
        done.item_id,
        done.platform,
        GREATEST(received.age_days, happened.age_days) AS age_days
    FROM daily_acts AS done
    INNER JOIN calendar AS received ON done.dt = received.day
    INNER JOIN calendar AS happened ON done.happened_on = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

newest_attributes AS (
    SELECT MAX(dt) AS dt
    FROM item_attributes
),

newest_customers AS (
    SELECT MAX(dt) AS dt
    FROM customers
),

made_for AS (
    SELECT
        item_attributes.item_id,
        MIN(genders.gender) AS gender
    FROM item_attributes
    INNER JOIN newest_attributes ON item_attributes.dt = newest_attributes.dt
    INNER JOIN genders ON LOWER(item_attributes.value) = genders.value
    WHERE item_attributes.attribute = 'gender'
    GROUP BY item_attributes.item_id
    HAVING COUNT(DISTINCT genders.gender) = 1
),

told AS (
    SELECT
        customers.user_id,
        genders.gender AS customer_gender
    FROM customers
    INNER JOIN newest_customers ON customers.dt = newest_customers.dt
    LEFT JOIN genders ON LOWER(customers.gender) = genders.value
),

gathered AS (
    SELECT
        acts.user_id,
        COUNT(*) AS acts_30,
        COUNT(*) FILTER (WHERE made_for.gender = 'women') AS acts_women_30,
        COUNT(*) FILTER (WHERE made_for.gender = 'men') AS acts_men_30,
        COUNT(*) FILTER (WHERE acts.platform IN ('web', 'mobile_web')) AS acts_web_30,
        COUNT(*) FILTER (WHERE acts.platform IN ('android', 'ios')) AS acts_app_30,
        MIN(acts.age_days) AS days_since_event,
        MAX(acts.age_days) AS days_since_first_event
    FROM acts
    LEFT JOIN made_for ON acts.item_id = made_for.item_id
    GROUP BY acts.user_id
),

seen AS (
    SELECT DISTINCT counts.user_id
    FROM daily_user_counts AS counts
    INNER JOIN calendar AS received ON counts.dt = received.day
    INNER JOIN calendar AS happened ON counts.happened_on = happened.day
    WHERE GREATEST(received.age_days, happened.age_days) < 30
),

known AS (
    SELECT user_id FROM told
    UNION DISTINCT
    SELECT user_id FROM seen
)

SELECT
    known.user_id,
    told.customer_gender,
    told.user_id IS NOT NULL AS is_customer,
    COALESCE(gathered.acts_30, 0) AS acts_30,
    COALESCE(gathered.acts_women_30, 0) AS acts_women_30,
    COALESCE(gathered.acts_men_30, 0) AS acts_men_30,
    COALESCE(gathered.acts_web_30, 0) AS acts_web_30,
    COALESCE(gathered.acts_app_30, 0) AS acts_app_30,
    gathered.days_since_event,
    gathered.days_since_first_event
FROM known
LEFT JOIN told ON known.user_id = told.user_id
LEFT JOIN gathered ON known.user_id = gathered.user_id
