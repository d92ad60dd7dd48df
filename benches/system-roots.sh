#!/usr/bin/env bash
# Prints the file of the system's trust store.
set -euo pipefail
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ ! -f "$file" ] || { readlink -f "$file"; exit; }
done
echo "This system has no trust store in a file: install its certificates (ca-certificates)." >&2
exit 1
