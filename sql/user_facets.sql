-- user_facets: what each customer prefers, by category group and attribute, as known on :day
-- Grain: one row per user, category group, attribute and value with a weighted event in the window;
--   only the :top_values first values of each attribute.
-- Inputs: events (the calendar's days), items and item_attributes (7 days: an empty night carries
--   the last snapshot on), calendar (day, decay_ppm), event_weights (event_type, weight).
-- Window: an event counts when its day of receipt and its day of ts are both in the calendar. Most
--   are received on their day, and comparing bounds is cheaper than casting ts to a date.
-- preference = sum of weight * decay over the value / (the same over all values of the attribute,
--   before the cut to the top values, + :prior_ppm): who has done little prefers little. Sums are
--   integers (weights, decay in millionths), so that the result does not depend on row order. An
--   impression has no weight: it is not a choice.
-- An item with two values of an attribute gives its whole weight to each.
-- Owner: facets
WITH weighted AS (
    SELECT
        e.user_id,
        e.item_id,
        CAST(SUM(event_weights.weight * happened.decay_ppm) AS BIGINT) AS ppm
    FROM events AS e
    INNER JOIN calendar AS received ON e.dt = received.day
    INNER JOIN calendar AS happened
        ON
            happened.day = CASE
                WHEN e.ts >= received.starts_at AND e.ts < received.ends_at THEN e.dt
                ELSE CAST(e.ts AS DATE)
            END
    INNER JOIN event_weights ON e.event_type = event_weights.event_type
    GROUP BY e.user_id, e.item_id
),

described AS (
    SELECT
        items.item_id,
        items.category_group,
        item_attributes.attribute,
        item_attributes.value
    FROM items
    INNER JOIN item_attributes
        ON items.item_id = item_attributes.item_id AND items.dt = item_attributes.dt
    WHERE items.dt = (SELECT MAX(newest.dt) FROM items AS newest)
),

summed AS (
    SELECT
        weighted.user_id,
        described.category_group,
        described.attribute,
        described.value,
        CAST(SUM(weighted.ppm) AS BIGINT) AS ppm
    FROM weighted
    INNER JOIN described ON weighted.item_id = described.item_id
    GROUP BY weighted.user_id, described.category_group, described.attribute, described.value
),

placed AS (
    SELECT
        user_id,
        category_group,
        attribute,
        value,
        ppm,
        CAST(
            SUM(ppm) OVER (PARTITION BY user_id, category_group, attribute) AS BIGINT
        ) AS attribute_ppm,
        ROW_NUMBER() OVER (
            PARTITION BY user_id, category_group, attribute ORDER BY ppm DESC, value ASC
        ) AS place
    FROM summed
)

SELECT
    user_id,
    category_group,
    attribute,
    value,
    CAST(ppm AS DOUBLE) / CAST(attribute_ppm + :prior_ppm AS DOUBLE) AS preference
FROM placed
WHERE place <= :top_values
