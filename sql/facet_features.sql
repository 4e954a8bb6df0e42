-- facet_features: what the engine would add for each shown item, attribute by attribute
-- Grain: one row per fitting row and attribute whose sum is above 0.
-- Inputs: facet_rows (row_id, user_id, item_id, known_day, snapshot_day, category_group), and
--   user_facets and item_attributes of the days before the listings.
-- Window: each row reads the preferences and the catalogue of its own day before.
-- picos = sum of the customer's kept preferences over the item's values of the attribute, exactly
--   as a boost with one clause per attribute and value adds them up; in units of 1e-12, so that the
--   sum is one of integers and does not depend on order.
-- Owner: facets
WITH described AS (
    -- DISTINCT changes no row and keeps the join first: by attribute and value alone, preferences
    -- and items of all days would meet in billions of pairs.
    SELECT DISTINCT
        facet_rows.row_id,
        facet_rows.user_id,
        facet_rows.known_day,
        facet_rows.category_group,
        item_attributes.attribute,
        item_attributes.value
    FROM facet_rows
    INNER JOIN item_attributes
        ON
            facet_rows.item_id = item_attributes.item_id
            AND facet_rows.snapshot_day = item_attributes.dt
)

SELECT
    described.row_id,
    user_facets.attribute,
    CAST(SUM(CAST(FLOOR(user_facets.preference * 1e12) AS BIGINT)) AS BIGINT) AS picos
FROM described
INNER JOIN user_facets
    ON
        described.user_id = user_facets.user_id
        AND described.known_day = user_facets.dt
        AND described.category_group = user_facets.category_group
        AND described.attribute = user_facets.attribute
        AND described.value = user_facets.value
GROUP BY described.row_id, user_facets.attribute
