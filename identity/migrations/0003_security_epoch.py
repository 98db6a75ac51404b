"""A change of who somebody is, or of how they prove it, makes every token and session of theirs void.

Each of those carries a copy of its person's `security_epoch` and is good only while the two are
equal. The database moves the epoch on by itself, so that neither QuerySet.update nor plain SQL can
change a password, an address, a role, an activity or a second factor and leave old sessions alive
(ASVS 7.4.2, 7.4.3, 8.3.2). It never goes back: a row saved from a stale copy would revive the dead.
"""

from django.db import migrations

_FORWARD = """
CREATE FUNCTION identity_next_epoch(before timestamptz) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT greatest(clock_timestamp(), before + interval '1 microsecond')
$$;

CREATE FUNCTION identity_user_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.password, NEW.email, NEW.role, NEW.is_active)
       IS DISTINCT FROM (OLD.password, OLD.email, OLD.role, OLD.is_active) THEN
        NEW.security_epoch := identity_next_epoch(greatest(OLD.security_epoch, NEW.security_epoch));
    ELSIF NEW.security_epoch < OLD.security_epoch THEN
        NEW.security_epoch := OLD.security_epoch;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER identity_user_epoch BEFORE UPDATE ON identity_user
    FOR EACH ROW EXECUTE FUNCTION identity_user_epoch();

-- A secret that is sealed with another key (key_id changes too) is the same secret.
CREATE FUNCTION identity_device_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    person bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
    before boolean := TG_OP <> 'INSERT' AND OLD.confirmed_at IS NOT NULL;
    after boolean := TG_OP <> 'DELETE' AND NEW.confirmed_at IS NOT NULL;
BEGIN
    IF before <> after OR (before AND (OLD.user_id <> NEW.user_id OR OLD.confirmed_at <> NEW.confirmed_at
        OR (OLD.secret <> NEW.secret AND OLD.key_id = NEW.key_id))) THEN
        UPDATE identity_user SET security_epoch = identity_next_epoch(security_epoch) WHERE id = person;
        IF TG_OP = 'UPDATE' AND OLD.user_id <> NEW.user_id THEN
            UPDATE identity_user SET security_epoch = identity_next_epoch(security_epoch) WHERE id = OLD.user_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER identity_device_epoch AFTER INSERT OR UPDATE OR DELETE ON identity_mfadevice
    FOR EACH ROW EXECUTE FUNCTION identity_device_epoch();
"""

_BACK = """
DROP TRIGGER identity_device_epoch ON identity_mfadevice;
DROP FUNCTION identity_device_epoch();
DROP TRIGGER identity_user_epoch ON identity_user;
DROP FUNCTION identity_user_epoch();
DROP FUNCTION identity_next_epoch(timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_second_factor_and_mails")]

    operations = [migrations.RunSQL(_FORWARD, _BACK)]
