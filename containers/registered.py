"""Ends with 0 if a TaskManager has registered with the JobManager: python registered.py HOST PORT."""

import http.client
import json
import ssl
import sys

KEY = "/var/lib/fraudlab/flink-keys/rest.pem"

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.load_verify_locations(KEY)
context.load_cert_chain(KEY)
connection = http.client.HTTPSConnection(sys.argv[1], int(sys.argv[2]), timeout=10, context=context)
connection.request("GET", "/overview")
sys.exit(0 if json.load(connection.getresponse())["taskmanagers"] else 1)
