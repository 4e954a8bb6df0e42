-- name: baby_goods_buyers
-- owner: marketing
-- seed: ordered babywear or a pram, which expecting a child brings about
-- window_days: 14
-- gap_days: 1
-- horizon_days: 7
-- lasting_trait: no
SELECT DISTINCT
    e.user_id,
    CAST(e.ts AS DATE) AS day
FROM events AS e
INNER JOIN items ON e.item_id = items.item_id
WHERE e.event_type = 'order' AND items.category IN ('babywear', 'prams')
