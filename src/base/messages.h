/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Message ids (MESSAGE_ID= of the journal): what an administrator looks for afterwards, and what scripts wait for. For
 * ever: an id is never given a second meaning. systemd/gatehouse.catalog explains each; a test compares. */

#define MESSAGE_KEY_SET "761561d8fc7c46ffb16fcb0e03940546"            /* a person put a key into the vault */
#define MESSAGE_KEY_FORGOTTEN "1d66932a175c4a7095bd481dee092267"      /* a person had a key forgotten */
#define MESSAGE_KEY_PROMOTED "e99d64ac78be44059dbbbd2663758374"       /* a person had backup tried */
#define MESSAGE_KEY_EXPORTED "e0482f55f4fb4bf68a7cbeee2a5098c6"       /* a key left the agent */
#define MESSAGE_DEVICE_REMOVED "f95f1a9348a242e0a95f743eb8688ac3"     /* a person removed a device */
#define MESSAGE_ROTATION_ASKED "1bc2f9b44a634ea8802a2ccd2fdd8aac"     /* a person asked for a rotation */
#define MESSAGE_ROTATION_ALL_ASKED "a546b17a7f774b7ab4cc6438ba8d2581" /* the same, of all devices */
#define MESSAGE_ROTATION_DONE "50051ae4bd8e40dfbb82bc86712e357a"      /* a rotation took */
#define MESSAGE_ROTATION_ABANDONED "67aafc2253584966ba9cfd46e2c76fda" /* a rotation was given up */
#define MESSAGE_FELL_BACK "7473b99d1fa34c1492a4b4d5a4e89bb5"          /* the key before is main again: a fallback */
#define MESSAGE_WENT_FORWARD "6f3e0e69ae5440f7ad29e399ec5388b2"       /* the newer one is, again */
#define MESSAGE_LEFT_AT_CLOUD "95a4c5245c4a44c1b301fbaffc914408"      /* removed here, and not at the cloud */
#define MESSAGE_CONFLICT "fc0f595591e74b0fbc62653fb8dacfaa"          /* somebody else's key stands under our identity */
#define MESSAGE_PROVISIONED "003711db2ecb4b2db0319e350be6d82f"       /* a person had devices and keys made of a list */
#define MESSAGE_KEYS_EXPORTED "d3bfd802a55d4927a16ae54aafa10226"     /* the keys of many devices left the agent */
#define MESSAGE_VAULT_REKEYED "d34c5593633f46a293b7e7a9a354e43c"     /* the vault has a new keyfile */
#define MESSAGE_RECOVERY_KEY_MADE "02604b42cbab44289aaaf3853a7117af" /* the vault has a new recovery key */
#define MESSAGE_VAULT_RECOVERED "4e57222b0b4b4ebd91e138443e07cfbf"   /* the vault was opened with the recovery key */
#define MESSAGE_BACKUP_MADE "004f60e8785a4b90a3e7afb9188bae71"       /* a person made a backup */
#define MESSAGE_VAULT_RESTORED "52e4e385ce9842c692f869dd8f49e754"    /* a backup took the place of the vault */
#define MESSAGE_SPOOL_FAILS "e08b54cde7cf42ddba870f4d15165823"       /* samples cannot be written */
#define MESSAGE_SPOOL_WORKS "97ff3d4f288747e8a33f52427426c413"       /* they can again */
#define MESSAGE_SPOOL_CORRUPT "4911ca6f1b494c26879b0fb131d743da"     /* the spool was damaged, and a new one is begun */
#define MESSAGE_VAULT_RESET "3f737d17bff5453697b11a2b002c6db5"       /* keyfile and vault were removed */
#define MESSAGE_WRITTEN "a50aaa7057424c1080aafadfe56f6d48"           /* a point was written */
#define MESSAGE_DAMAGED "52686557887f4ba7b5bf4a9d4340b16c"           /* what the vault has of a device does not open */
#define MESSAGE_WRITE_FAILED "73b8857572e44c5483d9b6126df2bb7f" /* somebody wanted a point written, and it was not */
