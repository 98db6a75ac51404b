#!/bin/sh
# SeaweedFS with its side doors shut; its three identities come from the environment (docs/decisions/0006).
#
# It has no network: S3 is served on a unix socket, and the `s3gate` service is the door to it. SeaweedFS's gRPC ports ask
# for no password, and whoever reaches them can delete what they like, Object Lock or not. They are on this container's
# own loopback and nowhere else.
set -eu
umask 077

for value in "$S3_API_ACCESS_KEY_ID" "$S3_API_SECRET_ACCESS_KEY" "$S3_WORKER_ACCESS_KEY_ID" \
    "$S3_WORKER_SECRET_ACCESS_KEY" "$S3_ADMIN_ACCESS_KEY_ID" "$S3_ADMIN_SECRET_ACCESS_KEY" \
    "$QUARANTINE_BUCKET" "$VAULT_BUCKET"; do
    case $value in "" | *[!A-Za-z0-9_.-]*)
        echo "S3 keys and bucket names may have letters, digits, . - and _ only" >&2
        exit 1
        ;;
    esac
done

worker_may() {
    for action in Admin Read List Write Tagging PutObjectRetention PutObjectLegalHold; do
        printf '"%s:%s", "%s:%s", ' "$action" "$QUARANTINE_BUCKET" "$action" "$VAULT_BUCKET"
    done | sed 's/, $//'
}

# SeaweedFS ties delete to put: `Write` lets the API delete in quarantine, too.
cat >/tmp/identities.json <<END
{"identities": [
  {"name": "admin", "actions": ["Admin", "Read", "List", "Write", "Tagging"],
   "credentials": [{"accessKey": "$S3_ADMIN_ACCESS_KEY_ID", "secretKey": "$S3_ADMIN_SECRET_ACCESS_KEY"}]},
  {"name": "api", "actions": ["Write:$QUARANTINE_BUCKET", "List:$QUARANTINE_BUCKET", "Read:$VAULT_BUCKET"],
   "credentials": [{"accessKey": "$S3_API_ACCESS_KEY_ID", "secretKey": "$S3_API_SECRET_ACCESS_KEY"}]},
  {"name": "worker", "actions": [$(worker_may)],
   "credentials": [{"accessKey": "$S3_WORKER_ACCESS_KEY_ID", "secretKey": "$S3_WORKER_SECRET_ACCESS_KEY"}]}
]}
END

# The parts of one process talk to each other with these; new ones at every start.
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
WEED_JWT_SIGNING_KEY=$(random) WEED_JWT_SIGNING_READ_KEY=$(random)
WEED_JWT_FILER_SIGNING_KEY=$(random) WEED_JWT_FILER_SIGNING_READ_KEY=$(random)
export WEED_JWT_SIGNING_KEY WEED_JWT_SIGNING_READ_KEY WEED_JWT_FILER_SIGNING_KEY WEED_JWT_FILER_SIGNING_READ_KEY

export WEED_S3_SSE_KEK="${S3_SSE_KEK:?}" # from outside: encryption whose key lies beside the data is none
export WEED_MASTER_VOLUME_GROWTH_COPY_1=1 # or each bucket takes seven volumes, and ten use up a disk's slots
export GOMEMLIMIT=600MiB TMPDIR=/data/tmp HOME=/data/tmp # bodies over 5 MiB are spooled in TMPDIR
mkdir -p /data/tmp
# An administrator is made of any AWS key in the environment, so there must be none.
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY S3_API_SECRET_ACCESS_KEY S3_WORKER_SECRET_ACCESS_KEY \
    S3_ADMIN_SECRET_ACCESS_KEY S3_SSE_KEK || true

exec weed -logtostderr=true mini -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -disableHttp -webdav=false -admin.ui=false \
    -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.config=/tmp/identities.json \
    -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false -s3.allowedOrigins="${S3_ALLOWED_ORIGINS:?}" \
    -s3.localSocket=/run/s3/s3.sock -filer.localSocket=/tmp/filer.sock -volume.max=0 -master.telemetry=false
