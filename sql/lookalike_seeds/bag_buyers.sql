-- name: bag_buyers
-- Owner: marketing
-- seed: ordered something of the category bags
-- rule: category bags
-- window_days: 14
-- gap_days: 1
-- horizon_days: 7
-- lasting_trait: no
-- Grain: one row per customer and day of a seed act.
-- Inputs: events (from the first day that can matter to :day), items (the snapshots of
--   these days, so that what has left the catalogue since still counts).
-- Window: the day of a seed act is that of its ts.
SELECT DISTINCT
    e.user_id,
    CAST(e.ts AS DATE) AS day
FROM events AS e
INNER JOIN items ON e.item_id = items.item_id
WHERE e.event_type = 'order' AND items.category = 'bags'
