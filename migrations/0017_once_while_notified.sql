-- A nudge counts for as long as its notification is there: where the application deletes that, it begins anew.

ALTER TABLE notification_once
    ADD COLUMN IF NOT EXISTS ends_with_notification boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN notification_once.ends_with_notification IS
    'Counts no more once the application has deleted the notification of this event.';

UPDATE notification_once o
   SET ends_with_notification = true
 WHERE o.once_key LIKE 'resume_incomplete_nudge:%' AND NOT o.ends_with_notification
   AND EXISTS (SELECT FROM notifications n WHERE n.event_id = o.event_id AND n.user_id = o.user_id);
