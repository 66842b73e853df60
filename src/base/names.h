/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names that go over an interface, each standing once: others script against them. */

#define BUS_NAME "org.gatehouse1"
#define BUS_PATH_MANAGER "/org/gatehouse1"
#define BUS_PATH_DEVICE "/org/gatehouse1/device"
#define BUS_PATH_JOB "/org/gatehouse1/job"
#define BUS_INTERFACE_MANAGER "org.gatehouse1.Manager"
#define BUS_INTERFACE_DEVICE "org.gatehouse1.Device"
#define BUS_INTERFACE_JOB "org.gatehouse1.Job"

#define ERROR_NO_SUCH_DEVICE "org.gatehouse1.Error.NoSuchDevice"
#define ERROR_NO_SUCH_POINT "org.gatehouse1.Error.NoSuchPoint"
#define ERROR_KEY_IN_USE "org.gatehouse1.Error.KeyInUse"
#define ERROR_IDENTITY_IN_USE "org.gatehouse1.Error.IdentityInUse"
#define ERROR_WEAK_KEY "org.gatehouse1.Error.WeakKey"
#define ERROR_BUSY "org.gatehouse1.Error.Busy"
#define ERROR_READ_ONLY "org.gatehouse1.Error.ReadOnly"
#define ERROR_STATE_NOT_DURABLE "org.gatehouse1.Error.StateNotDurable"
#define ERROR_NOT_WRITABLE "org.gatehouse1.Error.NotWritable"
#define ERROR_WRONG_TYPE "org.gatehouse1.Error.WrongType"
#define ERROR_OUT_OF_RANGE "org.gatehouse1.Error.OutOfRange"
#define ERROR_DRIVER_AWAY "org.gatehouse1.Error.DriverAway"
#define ERROR_INVALID_ARGUMENT "org.gatehouse1.Error.InvalidArgument"

/* Rights, as polkit names its actions */
#define ACTION_MONITOR "org.gatehouse1.monitor"
#define ACTION_MANAGE_DEVICES "org.gatehouse1.manage-devices"
#define ACTION_ROTATE "org.gatehouse1.rotate"
#define ACTION_MANAGE_KEYS "org.gatehouse1.manage-keys"
#define ACTION_EXPORT_KEYS "org.gatehouse1.export-keys"
#define ACTION_WRITE "org.gatehouse1.write"
#define ACTION_SET_LOG_LEVEL "org.gatehouse1.set-log-level"
#define AGENT_USER "gatehouse"
#define ADMIN_GROUP "gatehouse-admin" /* its members have all of these but those that give and take keys */

/* The driver protocol */
#define CTL_JSON_VERSION 1 /* of what gatehousectl --json prints: keys that are added do not change it */
#define LINK_SOCKET "driver.sock"
#define SCAN_RESUME "resume"            /* of what a scan found, where the next call goes on; an option of that */
#define DRIVER_USER_PREFIX "gatehouse-" /* the driver NAME runs as the user gatehouse-NAME */

/* Files and directories */
#define CONFIG_DIR "/etc/gatehouse"
#define CONFIG_FILE "gatehouse.json"
#define ANNOUNCED_DIR "announced" /* in STATE_DIR: what brokers keep for devices */
#define CONFIG_DEVICES_DIR "devices.d"
#define STATE_DIR "/var/lib/gatehouse"
#define RUNTIME_DIR "/run/gatehouse"
#define REGISTRAR_DIR "/run/gatehouse-registrar"            /* NAME.sock */
#define REGISTRAR_PROGRAM_DIR "/etc/gatehouse/registrars.d" /* what the registrar `exec` may run */
#define CREDENTIAL_API_KEY "api-key"
#define VAULT_FILE "vault.db"
#define SPOOL_FILE "spool.db"
#define BACKUP_FILE "vault.backup" /* in the directory for backups after rotations */
#define KEYFILE_DIR "/etc/gatehouse/keys"
#define KEYFILE_CURRENT "current"
/* The addition to the unit by the command that encrypts the keyfile (etc/examples/encrypt-keyfile.sh). */
#define KEYFILE_ENCRYPTED_UNIT "/etc/systemd/system/gatehouse.service.d/encrypted-keyfile.conf"
#define KEYFILE_NEXT "next"              /* during a rekey */
#define CREDENTIAL_KEY "key_current"     /* below $CREDENTIALS_DIRECTORY */
#define CREDENTIAL_KEY_NEXT "key_next"   /* likewise */
#define BIND_BOARD_SERIAL "board-serial" /* what a vault may be bound to, in the configuration */
#define BIND_MACHINE_ID "machine-id"
#define BIND_FILE "file:"
#define BOARD_SERIAL_FILE "/sys/firmware/devicetree/base/serial-number"

/* Exit statuses beyond 0 and 1 (sysexits.h where one fits) */
#define EXIT_USAGE 2
#define EXIT_NOT_RUNNING 3
#define EXIT_NO_SUCH_DEVICE 4
#define EXIT_DENIED 5
#define EXIT_PARTIAL 6
#define EXIT_BAD_DATA 65     /* EX_DATAERR */
#define EXIT_NO_INPUT 66     /* EX_NOINPUT */
#define EXIT_LATER_FORMAT 76 /* EX_PROTOCOL */
#define EXIT_WRONG_KEY 77    /* EX_NOPERM */
#define EXIT_LOCKED 75       /* EX_TEMPFAIL: another agent holds the vault */
#define EXIT_CONFIG 78       /* EX_CONFIG */
