"""Verifies signatures with the published library of Standard Webhooks.

Each line of input is {"secret", "headers", "body"}; each line of output is {"verified"} or {"refused"}.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    request = json.loads(line)
    try:
        payload = Webhook(request["secret"]).verify(request["body"], request["headers"])
        shown = {"verified": payload}
    except WebhookVerificationError as refusal:
        shown = {"refused": str(refusal)}
    print(json.dumps(shown), flush=True)
