"""Serves S3 from memory (moto) on a free loopback port until standard input ends.

usage: s3_server.py BUCKET
Each line of standard input asks for something: `!uploads` lists uploads in parts, `!abort` forgets them, and a prefix
lists objects.
"""

import logging
import os
import sys

os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", NO_PROXY="127.0.0.1")
logging.getLogger("werkzeug").setLevel(logging.ERROR)

import boto3
from common import tell
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer


class Uploads(dict):
    """The uploads of a bucket. moto answers 500 where S3 does not know one: it is 404 NoSuchUpload."""

    def __missing__(self, upload):
        raise NoSuchUpload(upload_id=upload)


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"
s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
s3.create_bucket(Bucket=sys.argv[1], ACL="public-read-write")
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[sys.argv[1]].multiparts = Uploads()
tell("ready", endpoint=endpoint)


def uploads():
    """Returns what list_multipart_uploads says: key and id of each upload that is neither completed nor aborted."""
    listed = s3.list_multipart_uploads(Bucket=sys.argv[1]).get("Uploads", [])
    return [{"Key": upload["Key"], "UploadId": upload["UploadId"]} for upload in listed]


def parts(upload):
    """Returns the numbers of the parts that an upload has."""
    listed = s3.list_parts(Bucket=sys.argv[1], **upload).get("Parts", [])
    return [part["PartNumber"] for part in listed]


for line in sys.stdin:
    if line.strip() == "!uploads":
        tell("uploads", uploads={upload["UploadId"]: parts(upload) for upload in uploads()})
        continue
    if line.strip() == "!abort":
        for upload in uploads():
            s3.abort_multipart_upload(Bucket=sys.argv[1], **upload)
        tell("aborted")
        continue
    # Any other line is a prefix to list, with a URL for each object that anyone may read from.
    listed = s3.list_objects_v2(Bucket=sys.argv[1], Prefix=line.strip()).get("Contents", [])
    objects = {entry["Key"]: s3.generate_presigned_url("get_object", {"Bucket": sys.argv[1], "Key": entry["Key"]}) for entry in listed}
    tell("listed", objects=objects)
