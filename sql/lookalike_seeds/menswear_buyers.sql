-- name: menswear_buyers
-- Owner: marketing
-- seed: ordered something for men: who shops for a man goes on doing so
-- rule: gender men
-- window_days: 14
-- gap_days: 1
-- horizon_days: 7
-- lasting_trait: yes
-- Grain: one row per customer and day of a seed act.
-- Inputs: events (from the first day that can matter to :day), item_attributes (the
--   snapshots of these days, so that what has left the catalogue since still counts).
-- Window: the day of a seed act is that of its ts.
SELECT DISTINCT
    e.user_id,
    CAST(e.ts AS DATE) AS day
FROM events AS e
INNER JOIN item_attributes ON e.item_id = item_attributes.item_id
WHERE
    e.event_type = 'order'
    AND item_attributes.attribute = 'gender'
    AND item_attributes.value = 'men'
