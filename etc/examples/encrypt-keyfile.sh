#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Encrypts the keyfile with this machine's host key (systemd-creds), as root: a copy of /etc/gatehouse alone then opens no vault.
# Both keys are on the same disk: it guards a copied directory or backup, not a copied card. Keep a copy of the plain keyfile
# elsewhere first; without the host key, /var/lib/systemd/credential.secret, the encrypted one cannot be read.
# Once more, it completes what a power cut has interrupted.
set -eu
keys=/etc/gatehouse/keys
dropin=/etc/systemd/system/gatehouse.service.d/encrypted-keyfile.conf

umask 077
if ! systemd-creds decrypt --name=key_current "$keys/current" - >/dev/null 2>&1; then
    [ "$(stat -c %s "$keys/current")" = 32 ] || {
        echo "encrypt-keyfile: $keys/current does not have the 32 bytes of a plain keyfile" >&2
        exit 1
    }
    systemd-creds encrypt --with-key=host --name=key_current "$keys/current" "$keys/.encrypted"
    systemd-creds decrypt --name=key_current "$keys/.encrypted" - | cmp - "$keys/current"
    sync "$keys/.encrypted"
fi
install -d -m 0755 "${dropin%/*}"
printf '[Service]\nLoadCredential=\nLoadCredentialEncrypted=key:%s\n' "$keys" >"$dropin"
chmod 0644 "$dropin"
sync "$dropin" "${dropin%/*}" "${dropin%/*/*}"
[ ! -e "$keys/.encrypted" ] || mv "$keys/.encrypted" "$keys/current"
sync "$keys"
systemctl daemon-reload
systemctl try-restart gatehouse.service
