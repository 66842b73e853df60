/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every limit of gatehouse, named and in one place. Sizes in bytes, times in microseconds unless the name says
 * otherwise. */

#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_INFINITY UINT64_MAX

/* Texts */
#define ERROR_TEXT_MAX 512
#define DEVICE_ID_MAX 64 /* and point, uplink, driver names */
#define UNIT_MAX 32
#define SAMPLE_TEXT_MAX 256
#define SAMPLE_NAME_MAX (DEVICE_ID_MAX + 1 + 16) /* of a point, with what it gets at its end when it is not good */

/* Credentials (RFC 4279 section 5.3: identities of 128 octets, keys of 64; RFC 9257: at least 128 bits) */
#define IDENTITY_MAX 128
#define KEY_MIN 16
#define KEY_MAX 64
#define KEY_GENERATED_SIZE 32
#define DEVICE_LOGIN_MAX 127   /* a user name, a byte between, and a password; with a NUL an arena's cell */
#define KEY_DESCRIPTOR_MAX 256 /* what is read from a descriptor, encodings included */
#define KEY_DESCRIPTOR_TIMEOUT (5 * USEC_PER_SEC)
#define CLOUD_ID_MAX 256
#define OPAQUE_ID_LENGTH 10       /* what {opaque} becomes */
#define IDENTITY_NUMBER_LENGTH 20 /* what {n} becomes at most: UINT64_MAX */
#define KEYFILE_SIZE 32
#define FINGERPRINT_SIZE 8

/* The vault */
#define VAULT_ROTATION_MAX 256          /* the rotation's own state in an entry */
#define VAULT_STATE_MAX 2048            /* a state record's contents */
#define VAULT_BIND_MAX 4096             /* a bind value */
#define VAULT_VERIFY_SLICE 256          /* entries verified between two commits */
#define VAULT_COUNTER_LEAP 1000         /* what a lost or restored identity counter rises by */
#define BACKUP_INTERVAL USEC_PER_MINUTE /* between backups after rotations */
#define QUIESCE_SECONDS 600             /* for which no rotation begins, unless the call says otherwise */
#define QUIESCE_SECONDS_MAX 86400
#define QUIESCE_LOOK (20 * USEC_PER_MSEC)    /* between two looks at what is still open */
#define QUIESCE_WAIT_MAX (60 * USEC_PER_SEC) /* for the disk */
#define VAULT_COPY_TRIES 20                  /* of reading a vault in use, until nothing changes meanwhile */
#define VAULT_BACKUP_MAX (256 * 1024 * 1024) /* a backup's file */
#define VAULT_BATCH_MAX 96                   /* changes in one transaction: they are sealed within one loop turn */
/* Between two notes in the vault of when a device's key authenticated: each message would wear the card out. One in so
 * much time of all devices, and of one device within these bounds. */
#define AUTHENTICATED_WRITE_SHARE (36 * USEC_PER_SEC)
#define AUTHENTICATED_WRITE_MIN USEC_PER_HOUR
#define AUTHENTICATED_WRITE_MAX USEC_PER_DAY
#define AUTHENTICATED_WRITE_AGAIN (10 * USEC_PER_MINUTE) /* ... and after one that may not have been written */

/* Provisioning: lists of devices and keys */
#define CSV_FIELDS_MAX 16
#define LIST_RECORD_MAX (64 * 1024)        /* one row */
#define LIST_ROWS 256                      /* read and judged at a time */
#define PROVISION_PER_TURN 64              /* rows, or devices begun, in one turn of the loop */
#define LIST_LINE_MAX 4096                 /* one line of an export */
#define LIST_STALL_MAX (30 * USEC_PER_SEC) /* nobody reads what is exported */

/* The locked arena */
#define ARENA_CELL_SIZE 128
#define ARENA_CELLS 512

/* Proofs: the message that the cloud has to accept */
#define PROOF_TIMEOUT (10 * USEC_PER_SEC) /* until it has come back, where it has to */
#define PROBE_PAUSE (5 * USEC_PER_SEC)    /* for what is under way, before its session ends */
#define RELOAD_PAUSE (2 * USEC_PER_SEC)   /* the same, where a changed uplink's devices are made anew */

/* Writes to a device, whoever asks for them */
#define WRITES_PER_SEC 10
#define WRITE_BURST 20
#define REFUSED_WRITES_SAID 10                      /* lines about writes of one device that were refused, */
#define REFUSED_WRITES_INTERVAL (30 * USEC_PER_SEC) /* in so long; the others are counted in the next */

/* Sessions on demand */
#define IDLE_TIMEOUT_DEFAULT (30 * USEC_PER_SEC)
#define IDLE_TIMEOUT_MIN USEC_PER_SEC
#define IDLE_TIMEOUT_MAX USEC_PER_DAY

/* Configuration */
#define CONFIG_FILE_MAX (1024 * 1024)
#define CONFIG_DEPTH_MAX 32
#define DEVICES_MAX 16384
#define CONFIG_HOST_MAX 256
#define CONFIG_DURATION_MAX (3650 * USEC_PER_DAY)
#define CONFIG_SESSION_EXPIRY_MAX (365 * USEC_PER_DAY)
#define CONFIG_PAYLOAD_MIN 128
/* Of all devices in a few lines: how many of what is wrong, and of what is under way, is told, and how many devices
 * are asked for their words. */
#define SUMMARY_PROBLEMS_MAX 10
#define SUMMARY_PROBLEMS_ASKED 1000
#define SUMMARY_ROTATIONS_MAX 20
#define POINTS_PER_DEVICE_MAX 1024
#define UPLINKS_MAX 64
#define FINDINGS_PER_KIND 16          /* listed; beyond, only counted */
#define CHECK_WAIT (5 * USEC_PER_SEC) /* for devices that are connecting, all together */
#define CHECK_LOOK_AGAIN (50 * USEC_PER_MSEC)
#define CHECK_DEVICES_PER_TURN 32
#define CHECK_PROBLEM_DEVICES 16 /* looked at for the one line of status */
#define CHECK_PROBLEM_TEXT 1024
#define CHECK_PLUGIN_WAIT (5 * USEC_PER_SEC)
#define CHECK_TRIES 64                     /* devices of an uplink, while the agent does not run */
#define CHECK_TRY_WAIT (90 * USEC_PER_SEC) /* all handshakes together */
#define CHECK_TRY_OUTPUT (1024 * 1024)     /* bytes that tell of them */
#define CHECK_ROOM_MIN (UINT64_C(8) * 1024 * 1024)
#define CARD_LIFE_TENTHS 9 /* used up, as cards say it */
#define MISTAKES_MAX 200   /* listed; beyond, only counted */
#define MISTAKE_TEXT_MAX 2048

/* The driver protocol. What is counted is counted of a uid, over all its connections. */
#define LINK_PACKET_MAX (64 * 1024)
#define LINK_PACKET_CHARGED 512 /* bytes that a packet counts for at least: so many small ones cost as much */
#define LINK_BYTES_PER_SEC (1024 * 1024)
#define LINK_SAMPLES_PER_SEC 5000
#define LINK_CONNECTS 10 /* of a uid in LINK_CONNECTS_INTERVAL */
#define LINK_CONNECTS_INTERVAL USEC_PER_MINUTE
#define LINK_STATES 6 /* of a device in LINK_STATES_INTERVAL that are handed on; then the last one wins */
#define LINK_STATES_INTERVAL USEC_PER_MINUTE
#define LINK_ALL_STATES_INTERVAL                                                                                       \
    (5 * USEC_PER_MINUTE)       /* in which a driver's devices, as many as there may be, change once each */
#define DRIVER_JOURNAL_LINES 60 /* of a driver's devices in DRIVER_JOURNAL_INTERVAL; then how many there were */
#define DRIVER_JOURNAL_INTERVAL USEC_PER_MINUTE
#define LINK_STATES_CHECK (1 * USEC_PER_SEC) /* between looks at those that wait */
#define LINK_STATES_PER_TURN 100             /* of those that waited */
#define LINK_COMPLAINTS 5                    /* lines logged of a uid in LINK_COMPLAINTS_INTERVAL */
#define LINK_COMPLAINTS_INTERVAL (30 * USEC_PER_SEC)
#define LINK_DEVICES_MAX 4096
#define LINK_REPORT_MAX 1000        /* samples in one report */
#define LINK_REPORT_DEVICES_MAX 100 /* in one report of ours */
#define LINK_REPORT_BYTES_MAX 60000 /* likewise, before the packet is full */
#define LINK_SAMPLE_BYTES_MAX 512   /* the largest sample, with its heads */
#define LINK_TEXTS_MAX 60000        /* of a device's texts in one packet; longer ones take several */
#define LINK_MEMBER_MAX 4096        /* a text among what a scan found, or its options */
#define LINK_MEMBERS_MAX 64         /* of one that was found */
#define LINK_WRITES_MAX 20          /* points in one request to write; no more than WRITE_BURST */
#define LINK_COUNTS_BYTES_MAX 8192  /* of an answer with all that is counted of a device */
#define DEVICE_COUNTS_MAX 48        /* counted of a device in its driver */
#define LINK_ERRNO_MAX 4095
#define LINK_KEPT_MAX 256                   /* what is kept for a device, with its NUL */
#define SENSOR_KEY_SIZE 16                  /* of a bind key */
#define KEPT_WRITE_INTERVAL USEC_PER_MINUTE /* between two notes in the vault of what is kept for a device */
#define KEPT_PER_TURN 32                    /* devices whose note is written in one turn of the loop */
#define SECRETS_IN_FLIGHT 8                 /* bind keys on their way to drivers */
#define SECRET_RETRY USEC_PER_SEC           /* after a driver had no room for one */
#define LINK_CREDITS 4000
#define LINK_CREDITS_MIN 50         /* an answer waits until at least as many are free */
#define LINK_ACCEPTS_PER_TURN 16    /* drivers that connect, in one turn of the loop */
#define LINK_ACCEPTS_PER_SEC 1000   /* the rest waits in the backlog */
#define LINK_RESTS_MAX 16           /* scans whose finds did not fit one answer, and are being asked for */
#define LINK_ANSWERS_MAX 1024       /* complaints, or values read, in one answer */
#define LINK_PACKETS_PER_TURN 16    /* of one driver, that are read or written in one turn of the loop */
#define LINK_OUT_MAX (1024 * 1024)  /* bytes of requests that wait for a driver that does not read */
#define LINK_OUT_UNREAD (64 * 1024) /* while more wait, what it sends is not read either */
#define LINK_HELLO_TIMEOUT (10 * USEC_PER_SEC)
#define LINK_DRIVERS_MAX 64
#define LINK_ACCOUNTS_MAX 128
#define LINK_STRANGERS_MAX 64 /* connections that have not said hello */
#define LINK_STRANGERS_UID_MAX 8
#define LINK_CALLS_MAX 256 /* outstanding at a driver */
#define LINK_CALL_TIMEOUT (35 * USEC_PER_SEC)
#define LINK_SCAN_TIMEOUT (10 * USEC_PER_MINUTE)
#define LOOKS_MAX 16        /* scans, and reads without a device, that are under way */
#define SCAN_FOUND_MAX 1024 /* kept of a scan */
#define SCAN_TIME_MAX (30 * USEC_PER_MINUTE)
#define LINK_REPORTS_IN_FLIGHT 8
#define LINK_REPORT_INTERVAL (4 * USEC_PER_MSEC) /* between reports: what comes meanwhile travels together */
#define LINK_REPORT_SLACK (USEC_PER_MSEC / 2)    /* not worth to be woken once more for */
#define LINK_BACKLOG 128                     /* connections that the agent has yet to accept: an eighth of a second's */
#define LINK_CONNECT_WAIT (2 * USEC_PER_SEC) /* of a driver, for a place among these; its loop waits meanwhile */
#define LINK_RECONNECT_MIN (100 * USEC_PER_MSEC)
#define LINK_RECONNECT_MAX (10 * USEC_PER_SEC)
#define LINK_RETRY_BUSY (1 * USEC_PER_SEC)
#define LINK_RETRIES_AT_ONCE 100 /* devices that are tried again together, once in LINK_RETRY_BUSY */
#define PEER_UIDS_MAX 64
#define PEER_KEPT_FOR USEC_PER_MINUTE
#define DRIVER_CALLBACK_DEADLINE (30 * USEC_PER_SEC)
#define DRIVER_REPORT_INTERVAL                                                                                         \
    (100 * USEC_PER_MSEC)      /* samples that come within this time after others were taken are taken together */
#define DRIVER_REPORT_MANY 500 /* so many are not waited for */
#define DRIVER_QUEUE_MAX 10000 /* samples kept in a driver without credits */

/* The spool */
#define SPOOL_MEMORY_MAX (16 * 1024 * 1024) /* of samples that wait in memory, all devices together */
#define SPOOL_DEVICE_SAMPLES_MAX 10000      /* in memory, where it is all there is */
#define SPOOL_WINDOW_MAX 1024 /* samples of a device in memory that are on disk as well, to be sent next */
#define SPOOL_WINDOW_MIN 64   /* likewise when very many devices have some */
#define SPOOL_BYTES_MIN (64 * UINT64_C(1024))
#define SPOOL_BYTES_DEFAULT (64 * UINT64_C(1024) * 1024)
#define SPOOL_BYTES_MAX (1024 * UINT64_C(1024) * 1024 * 1024)
#define SPOOL_AGE_DEFAULT (7 * USEC_PER_DAY)
#define SPOOL_COMMIT_INTERVAL                                                                                          \
    (40 * USEC_PER_MSEC) /* samples share a commit: it is over within 50 ms where syncs are fast */
#define SPOOL_COMMIT_YOUNG (20 * USEC_PER_MSEC)  /* what has come since waits for the next: a cloud may be faster */
#define SPOOL_COMMIT_SAMPLES 1000                /* or so many of them do */
#define SPOOL_CARE_INTERVAL (5 * USEC_PER_SEC)   /* between writings of what may be lost: what is gone, counts */
#define SPOOL_RETRY_INTERVAL (1 * USEC_PER_SEC)  /* after a failure of the disk */
#define SPOOL_WAIT_MAX (1 * USEC_PER_SEC)        /* until an answer that waits for safety is a refusal */
#define SPOOL_AGAIN_MAX (10 * USEC_PER_MINUTE)   /* for samples that were refused to be handed over again */
#define SPOOL_EVICTED_AT_ONCE 64                 /* samples of the device that has most in memory */
#define SPOOL_UNWRITTEN_AGE (4 * USEC_PER_SEC)   /* under `outage`: what waits so long is written; a second is left */
#define SPOOL_UNWRITTEN_BYTES (1024 * 1024)      /* likewise when it is so much */
#define SPOOL_ROW_SAMPLES_MAX 250                /* as many points as a row can name */
#define SPOOL_ROW_OVERHEAD 16                    /* what a row takes beside its data */
#define SPOOL_SCAN_ROWS 4096                     /* taken over in one turn of the loop when the file is opened */
#define SPOOL_LOAD_ROWS 256                      /* read back at a time */
#define SPOOL_LOAD_SAMPLES 4096                  /* likewise */
#define SPOOL_REJECTED_MAX 1000                  /* kept in the table, of at most some 400 bytes each */
#define SPOOL_REJECTED_WAITING 64                /* to be written there */
#define SPOOL_RATE_WINDOW (10 * USEC_PER_MINUTE) /* over which the rate is counted */
#define SPOOL_ROOM_MIN (64 * 1024)               /* bytes free on the disk, below which nothing is sure to be written */
#define SPOOL_ORPHANS_INTERVAL USEC_PER_HOUR     /* samples of devices that are not configured are looked at so often */
#define SPOOL_ORPHANS_SHOWN 100                  /* such devices on D-Bus */
#define SPOOL_CORRUPT_MAX 3                      /* damaged files kept */
#define LATEST_PER_TURN 1000                     /* overtaken samples of one device that are passed over */
#define REJECTED_PER_TURN 64                     /* samples of one device found to be such as cannot be sent */

/* Packs of samples */
#define STANDSTILL_SAID_AFTER (30 * USEC_PER_SEC) /* online, and nothing is accepted */
#define STANDSTILL_SAID_MAX USEC_PER_HOUR         /* told again after as long as it has lasted, at most this */
#define SAMPLES_PER_PACK 256
#define PACK_ENDS UPLINK_ENDS /* ... before a pack is made smaller */
#define PACK_ENDS_SINGLE 5    /* ... before one sample is given up, which a line that drops should not bring about */
#define PACK_GROW_FACTOR 4    /* by so much later it is tried with more again, each time that this failed */
#define PACK_GROW_MAX 4096    /* packs accepted, after which it is tried in any case */
#define PACK_GIVE_UP_FREE 3   /* samples in a row given up at once, of a server that ends the session at each of them */
#define PACK_GIVE_UP_WAIT (10 * USEC_PER_SEC) /* before the next one */
#define PACK_GIVE_UP_WAIT_MAX USEC_PER_HOUR

/* The clock, and a cloud's where it was never set */
#define CLOCK_PATIENCE (1 * USEC_PER_MINUTE)     /* with one that nobody has set, before that is told */
#define CLOCK_SPOOL_WAIT (10 * USEC_PER_SEC)     /* for the times in the spool */
#define CLOCK_LOOK_INTERVAL (1 * USEC_PER_SEC)   /* until the clock is synchronised */
#define SERVER_TIME_INTERVAL (10 * USEC_PER_SEC) /* between two questions for it, while samples wait for a time */
#define SERVER_TIME_AGAIN USEC_PER_HOUR          /* later: an oscillator is wrong by some 0.2 s an hour */
#define SERVER_TIME_GOOD (1 * USEC_PER_SEC)      /* a round trip after which the time is as good as it gets */
#define SERVER_TIME_WORST (20 * USEC_PER_SEC)    /* after a longer one the time is not used */
#define SERVER_TIME_ANSWERS 3                    /* of which the best is taken, where none is good */
#define SERVER_TIME_MIN (UINT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01: this did not run before */
#define SERVER_TIME_MAX (UINT64_C(4102444800) * USEC_PER_SEC) /* 2100-01-01 */

/* DTLS */
#define DTLS_HANDSHAKE_TIMEOUT (30 * USEC_PER_SEC)
/* After our Finished: servers that look an identity up slowly answer late, and those that do not accept a key never.
 * The first handshake waits the shorter time, the one after it (which may make the key refused) and a probe the longer;
 * both wait twice as long as the uplink's server was last seen to take. */
#define DTLS_FINISHED_SILENCE (6 * USEC_PER_SEC)
#define DTLS_FINISHED_PATIENCE (21 * USEC_PER_SEC)
#define DTLS_ALERT_SILENCE (2 * USEC_PER_SEC)  /* after an alert in clear text that anybody may have sent */
#define DTLS_FLIGHT_SILENCE (4 * USEC_PER_SEC) /* after a part of the server's flight: the rest does not come */
#define DTLS_RETRANSMIT (1 * USEC_PER_SEC)
#define DTLS_MTU 1280
#define DTLS_MTU_FLOOR 548
#define UPLINK_ENDS 3 /* sessions in a row that end with a request unanswered, before it is given back */
#define BACKOFF_MIN (1 * USEC_PER_SEC)
#define BACKOFF_MAX (20 * USEC_PER_SEC)
#define BACKOFF_REFUSED_MAX (15 * USEC_PER_MINUTE)
/* Without any answer from one of several addresses, in a first round over all of them; later rounds wait longer, for
 * slow lines, as long as a round takes no more than ADDRESS_ROUND_MAX. */
#define ADDRESS_WAIT_MIN (1500 * USEC_PER_MSEC)
#define ADDRESS_WAIT_MAX (3 * USEC_PER_SEC)
#define ADDRESS_ROUND (12 * USEC_PER_SEC)
#define ADDRESS_ROUND_MAX (24 * USEC_PER_SEC)
#define DTLS_NEXT_SOCKET (10 * USEC_PER_SEC)  /* without any answer, from another port */
#define DTLS_DATAGRAM_MAX (16 * 1024 + 256)   /* one for all: what a server's largest record takes */
#define OUTAGE_SAID_AFTER (15 * USEC_PER_SEC) /* without a session of any device */
#define RESOLVE_INTERVAL (5 * USEC_PER_SEC)   /* between look-ups of a name that nobody asked for */
#define RESOLVE_MOVE_INTERVAL USEC_PER_MINUTE /* between hurrying the sessions of an uplink to new addresses */
#define UPLINK_HOSTS_MAX 8                    /* of an uplink, tried in order */
#define HOST_AWAY_KNOWN (60 * USEC_PER_SEC)   /* a host where nobody was found comes after the others */
#define UPLINK_REFERENCES_MAX 4               /* of brokers, followed before a session stands */
#define RESOLVE_ADDRESSES_MAX 16
#define RESOLVER_THREADS 2
#define ADMISSION_RETRY (50 * USEC_PER_MSEC)
#define ADMISSION_PER_TURN 16 /* handshakes begun in one turn of the loop */
#define TURN_BUDGET                                                                                                    \
    (5 * USEC_PER_MSEC) /* beyond it what is ready waits for another turn: a handshake takes long on small machines */
#define SOCKETS_PER_TURN 32 /* sockets read in one turn of the loop */
/* Datagrams that a session reads: COAP_MIDS_PER_SEC fits, twice where responses come separately. */
#define DATAGRAMS_PER_SEC 500
#define DATAGRAMS_BURST 1000
#define DATAGRAMS_REST (100 * USEC_PER_MSEC) /* unread, when more have come */
#define TIMERS_PER_TURN 64
#define NETWORK_SETTLE (1 * USEC_PER_SEC)
#define NETWORK_MESSAGES_PER_TURN 64
#define NETWORK_SESSIONS_PER_TURN 64 /* looked at after a change */
#define WALK_PER_TURN 64             /* devices looked at, in one turn of the loop, when all are */
#define STOP_PER_TURN 64             /* devices disconnected when the agent stops */
#define ADMISSION_CONCURRENT 64
#define ADMISSION_PER_SEC 200
#define ADMISSION_JITTER (1 * USEC_PER_SEC)
/* Handshakes in flight when the configuration does not limit them. What is more than a server's socket holds is lost
 * and comes again a second later, so more take longer; with ten thousand at once nobody waits as long as the last ones
 * take, and all that gave up begin again. */
#define ADMISSION_UNLIMITED 96

/* CoAP (RFC 7252 section 4.8) */
#define COAP_TOKEN_SIZE 8
#define COAP_ACK_TIMEOUT (2 * USEC_PER_SEC)
#define COAP_RTO_MIN (1 * USEC_PER_SEC)
#define COAP_RTO_MAX (32 * USEC_PER_SEC)
#define COAP_MAX_RETRANSMIT 4
#define COAP_EXCHANGE_LIFETIME (247 * USEC_PER_SEC)
#define COAP_NSTART 1
#define COAP_NSTART_MAX 8
#define COAP_BODY_MAX (64 * 1024)
#define COAP_DEDUP_MAX 16
#define COAP_OPTIONS_MAX 32
#define COAP_PATH_MAX 512
#define COAP_DATAGRAM_MAX 1152 /* RFC 7252 section 4.6 */
#define COAP_DATAGRAM_MIN 256
#define COAP_DATAGRAM_LIMIT 2048
#define COAP_PATH_RAISE                                                                                                \
    (10 * USEC_PER_MINUTE)               /* until a bound is raised by half (RFC 8899 section 5.1.1), doubled:         \
                                          */
#define COAP_PATH_RAISE_MAX USEC_PER_DAY /* each time that this failed */
#define COAP_EXCHANGES_MAX 64
#define COAP_OBSERVATIONS_MAX 16
#define COAP_MIDS_PER_SEC 250     /* so that none comes again within COAP_EXCHANGE_LIFETIME */
#define COAP_UNANSWERED_DOUBTED 4 /* transmissions in a row, beyond which pings find out whether the session lives */
#define COAP_RESTARTS_MAX 3       /* of one request: Echo, 4.08, a changed ETag */
#define COAP_MAX_AGE 60           /* seconds, where a response does not say */
#define COAP_HOLD_MAX USEC_PER_HOUR
#define COAP_OBSERVE_RETRY_MAX USEC_PER_HOUR
/* RFC 4787 section 4.3 has a NAT keep a UDP binding for two minutes at least, and Linux keeps an answered one just
 * that: a ping at 100 s leaves time to be repeated. */
#define COAP_KEEPALIVE (100 * USEC_PER_SEC)
/* The first ping of a session. Linux keeps a UDP binding 30 s if all of its datagrams fell into its first two seconds,
 * and 120 s otherwise. */
#define COAP_SETTLE_AFTER (3 * USEC_PER_SEC)
#define COAP_SETTLE_JITTER (2 * USEC_PER_SEC)
#define COAP_SETTLED_BY (2 * USEC_PER_SEC)
#define COAP_PING_EARLY (1 * USEC_PER_SEC) /* before it is due: a timer is late */
#define COAP_KEEPALIVE_MIN (5 * USEC_PER_SEC)
#define COAP_KEEPALIVE_MAX USEC_PER_DAY
#define COAP_OBSERVE_NUMBERS_AGE (128 * USEC_PER_SEC) /* RFC 7641 section 3.4: then a lower number is a newer one */
#define COAP_OBSERVE_JITTER_MIN (5 * USEC_PER_SEC)    /* RFC 7641 section 3.3.1 */
#define COAP_OBSERVE_JITTER_MAX (15 * USEC_PER_SEC)
#define COAP_SEPARATE_TIMEOUT (93 * USEC_PER_SEC) /* empty ACK in, response awaited: MAX_TRANSMIT_WAIT */

/* MQTT */
#define MQTT_TCP_TIMEOUT (10 * USEC_PER_SEC)
#define MQTT_TLS_TIMEOUT (15 * USEC_PER_SEC)
#define MQTT_TLS_PATIENCE (30 * USEC_PER_SEC) /* after a failure: an identity may be looked up slowly */
#define MQTT_SENT_TIMEOUT (10 * USEC_PER_SEC) /* what TCP did not get acknowledged for so long shows a dead path */
#define TLS_ASK_TIMEOUT (5 * USEC_PER_SEC)    /* for the answer to one question about a handshake that failed */
#define MQTT_CONNACK_TIMEOUT (15 * USEC_PER_SEC)
#define MQTT_ANSWER_TIMEOUT                                                                                            \
    (20 * USEC_PER_SEC)                       /* PUBACK, SUBACK, PINGRESP: beyond, the connection is taken for dead    \
                                               */
#define MQTT_DRAIN_TIMEOUT (5 * USEC_PER_SEC) /* for open PUBACKs, before a connection is made anew */
#define MQTT_KEEPALIVE (60 * USEC_PER_SEC)    /* each connection takes between three quarters of it and it */
#define MQTT_PING_EARLY (1 * USEC_PER_SEC)    /* before it is due: a timer is late, a packet takes its time */
#define MQTT_KEEPALIVE_MIN 5                  /* seconds, what libmosquitto takes */
#define MQTT_BESIDE_PAYLOAD 160      /* left in a packet for the topic and a header, where the broker bounds packets */
#define MQTT_PACKET_MAX (256 * 1024) /* what a broker may send in one packet */
#define MQTT_READ_TURN (20 * 1024)   /* taken off a connection in one turn: the largest record of TLS, and more */
#define MQTT_PACKETS_PER_SEC 500     /* read off a connection */
#define MQTT_PACKETS_BURST 1000
#define MQTT_READ_REST (100 * USEC_PER_MSEC) /* unread, when more have come */
#define MQTT_UNREAD_MAX 1000                 /* messages that we answer while the broker does not read */
#define SEEN_PATIENCE_MAX 1024           /* reports in a row after which another kind of a point is believed at last */
#define MQTT_EARLY_MAX 64                /* messages kept until their topic is subscribed to, a session */
#define MQTT_EARLY_BYTES_MAX (64 * 1024) /* of their topics and payloads */
#define MQTT_TOPIC_SHOWN 100             /* bytes of a broker's topic, in the log */
#define MQTT_REQUESTS_MAX 64             /* waiting or in flight, a session */
#define MQTT_SUBSCRIPTIONS_MAX 16
#define MQTT_AWAY_KNOWN                                                                                                \
    (1 * USEC_PER_SEC) /* for so long what one child found out, that nobody is there, counts for all */
#define MQTT_NSTART 1
#define MQTT_TOPIC_MAX 1024
#define CLIENT_ID_TEMPLATE_MAX 256
#define MQTT_PAYLOAD_MAX (1024 * 1024)
#define MQTT_PLAIN_GROUPS_KEPT USEC_PER_HOUR /* ML-KEM is offered again after it, where that got no answer */
#define MQTT_OLD_VERSION_KEPT USEC_PER_HOUR  /* a broker without version 5 is asked for it again after it */

/* Profiles of clouds */
#define PROFILE_SOURCES_MAX 8        /* of commands */
#define PROFILE_TARGET_MAX 255       /* characters of a path or topic, as it stands in the profile */
#define PROFILE_PAYLOAD_DEFAULT 1024 /* max_payload where nobody says */
#define PROFILE_ANNOUNCEMENTS_MAX 16
#define ANNOUNCED_FILE_MAX (4 * 1024 * 1024) /* bytes of the list of what a broker keeps for a device */
#define ANNOUNCE_STEP_MIN 0.001              /* between a point's values: nobody sets one more finely */
#define WITHDRAW_TIMEOUT (5 * USEC_PER_SEC)  /* a removal waits no longer for kept messages to be taken back */
#define UPLINK_DRAIN_RATE_MAX 100000         /* requests a second of an uplink */
#define PROFILE_DRAIN_RATE_MAX 10000         /* requests a second */

/* Commands from a cloud */
#define COMMANDS_HOLD_MAX (60 * USEC_PER_SEC)           /* a server is asked to hold back a poll's answer no longer */
#define COMMANDS_POLL_AFTER_FAILURE (10 * USEC_PER_SEC) /* a poll that was not answered well is repeated */
#define COMMANDS_MAX 64                                 /* in one message */
#define COMMAND_CONTAINERS_MAX (8 * COMMANDS_MAX)       /* arrays and maps in a message in CBOR: one byte may be one */
#define COMMAND_ID_MAX 128                              /* as JSON text, or as a level of a topic */
#define COMMANDS_AT_ONCE 16                             /* of one device */
#define COMMANDS_PER_SEC 50 /* heard of one device's cloud; what is more is left without an answer */
#define COMMANDS_BURST 200
#define COMMANDS_REMEMBERED 32                 /* whose repeats are known */
#define OUTCOME_AGAIN (10 * USEC_PER_SEC)      /* until an outcome that was not heard is told again */
#define AVAILABILITY_AGAIN (10 * USEC_PER_SEC) /* until the state of a sensor that was not heard is told again */
#define OUTCOME_TRIES 10                       /* to tell the cloud what became of a command */
#define COMMAND_PAYLOAD_MAX 16384              /* a message with commands */

/* Rotation */
#define ROTATION_REFUSED_PROBES 5
#define ROTATION_REFUSED_PROBES_SPAN USEC_PER_HOUR
#define ROTATION_ASKED_AGE_MAX (5 * USEC_PER_MINUTE) /* a request is sent so long after it was written down */
#define ROTATION_ACCEPTED_SPAN (24 * USEC_PER_HOUR)  /* so long a key that passed is not given up for its refusals */
#define ROTATION_RETIRE_PROOF_AGE (5 * USEC_PER_MINUTE)
#define ROTATION_FALLBACK_INTERVAL (10 * USEC_PER_MINUTE)
#define ROTATION_MAX_AGE_DEFAULT (90 * USEC_PER_DAY)
#define ROTATION_RETIRE_AFTER_DEFAULT (24 * USEC_PER_HOUR)
#define ROTATION_CONCURRENT_DEFAULT 16
#define ROTATION_RATE_DEFAULT 20 /* begun a second */
#define ROTATION_RATE_MAX 10000
#define ROTATION_WINDOW_LOOK (10 * USEC_PER_MINUTE)    /* is it open? The wall clock may have been set meanwhile */
#define ROTATION_TURN_MAX (2 * USEC_PER_MINUTE)        /* one that takes longer goes on without keeping others back */
#define ROTATION_TURN_AGAIN_MAX 2                      /* likewise one whose registrar wants to be asked again */
#define ROTATION_BATCH_PATIENCE (10 * USEC_PER_MINUTE) /* a fleet's rotation counts one as failed after it */
#define ROTATION_PFS_AGE_MAX USEC_PER_DAY
#define ROTATION_MANUAL_PROBE_INTERVAL USEC_PER_HOUR
#define ROTATION_REQUEST_LIFETIME USEC_PER_HOUR /* a request unanswered so long is not carried out any more */
#define ROTATION_RETRY_MIN (2 * USEC_PER_SEC)
#define ROTATION_RETRY_MAX BACKOFF_REFUSED_MAX
#define ROTATION_VAIN_LINES 8                   /* in the journal, of why a new key is not accepted */
#define ROTATION_HASTEN_MAX (10 * USEC_PER_SEC) /* at most so long an act that asks for a look waits for it */

/* Registrars */
#define REGISTRAR_TIMEOUT (100 * USEC_PER_SEC) /* a call over CoAP: MAX_TRANSMIT_WAIT of RFC 7252 and some */
#define REGISTRAR_MESSAGE_MAX (64 * 1024)      /* a request to gatehouse-registrar, and its answer */
#define REGISTRAR_REASON_MAX 400
#define REGISTRAR_RETRY_AFTER_MAX USEC_PER_HOUR    /* a cloud that asks for more is asked again all the same */
#define REGISTRAR_BUDGET (80 * USEC_PER_SEC)       /* gatehouse-registrar's, for all calls of one request */
#define REGISTRAR_CALL_TIMEOUT (20 * USEC_PER_SEC) /* one HTTPS call */
#define REGISTRAR_READ_TIMEOUT (10 * USEC_PER_SEC) /* until the agent's request is whole */
#define REGISTRAR_PROGRAM_TIMEOUT (30 * USEC_PER_SEC)
#define REGISTRAR_CHILDREN_MAX 32             /* requests served at once by `--listen` */
#define REGISTRAR_HTTP_BODY_MAX (1024 * 1024) /* one page of a cloud's answer */
#define REGISTRAR_PAGE 100                    /* entries asked for in one page */
#define REGISTRAR_PAGES_MAX 100
#define REGISTRAR_WRITES_MAX 4 /* of one request: after a lost answer, or a set that somebody changed */
#define REGISTRAR_API_KEY_MAX 4096
#define HTTPS_URL_MAX 1023        /* address of a cloud's management, or of a proxy */
#define REGISTRATION_CONCURRENT 8 /* first registrations in flight an uplink */
#define REGISTRATION_PER_SEC 50
#define REGISTRAR_CLOCK_RETRY (30 * USEC_PER_SEC)

/* D-Bus */
#define BUS_MESSAGE_MAX (2 * 1024 * 1024) /* larger ones are refused unread */
#define BUS_HEADER_MAX (64 * 1024)        /* of one: with a larger one it is not even known whose it is */
#define BUS_LARGE (16 * 1024)             /* judged before it is whole */
#define BUS_READ (64 * 1024)              /* at once */
#define BUS_READS_PER_TURN 8
#define BUS_WAKES 4                  /* in a millisecond, for others than root: */
#define BUS_REST (2 * USEC_PER_MSEC) /* then nothing is read for so long, and what comes meanwhile is read at once */
#define BUS_ROOT_ACTIVE (20 * USEC_PER_MSEC) /* since its last call: no rest */
#define BUS_AUTH_MAX 4096
#define BUS_DESCRIPTORS_MAX 1 /* in one message: no method takes more */
#define BUS_WAITING_MAX 1024  /* messages of one user, */
#define BUS_WAITING_BYTES (256 * 1024)
#define BUS_WAITING_DESCRIPTORS 64
#define BUS_ROOT_WAITING_MAX 16384 /* and of root */
#define BUS_ROOT_WAITING_BYTES (8 * 1024 * 1024)
#define BUS_UNKNOWN_BYTES (4 * 1024 * 1024) /* of all whose users are not known yet */
#define BUS_UNKNOWN_DESCRIPTORS 512
#define BUS_TURN (2 * USEC_PER_MSEC)     /* of calls carried out in one turn of the loop */
#define BUS_OUT_MAX (32 * 1024)          /* bytes that the bus has not taken: then only root is answered */
#define BUS_ANSWER_LARGE (64 * 1024)     /* others than root have such an answer only when the bus has taken all */
#define BUS_CALM (200 * USEC_PER_MSEC)   /* ... for so long */
#define BUS_OUT_FULL (1024 * 1024)       /* nothing is said that can wait */
#define BUS_OUT_LOOK (2 * USEC_PER_MSEC) /* until it is looked at again */
#define BUS_QUEUED_MAX 1024              /* the same in messages */
#define BUS_OPTIONS_MAX 16               /* in one call */
#define POLICY_KNOWN (1 * USEC_PER_SEC)  /* the groups of a user, once looked up */
#define CALLERS_MAX 4096                 /* connections that have called, and are still there */
#define CALLERS_USER_MAX 1024            /* of one user */
#define CALLERS_USERS_MAX 512            /* that have called lately */
#define CALLERS_CPU_PERCENT 8            /* of a processor, for the calls of all but root together */
#define CALLERS_CPU_BURST (100 * USEC_PER_MSEC)
#define CALLERS_TOLD_PER_SEC 10                    /* refusals that one user is answered */
#define CALLERS_UNREAD_MAX (32 * 1024 * 1024)      /* bytes of answers that one connection has not read */
#define CALLERS_USER_UNREAD_MAX CALLERS_UNREAD_MAX /* and all of one user, other than root */
#define CALLERS_PING_EVERY (256 * 1024)            /* bytes; an answer shows that they were read */
#define CALLERS_FORGIVEN_PER_SEC (16 * 1024)       /* bytes, of who answers no ping */
#define CALLERS_PING_AGAIN USEC_PER_MINUTE
#define CALLERS_USER_BURST UINT64_C(67108864) /* bytes of answers that one such user may ask for at once */
#define CALLERS_USER_PER_SEC UINT64_C(4194304)
#define CALLERS_TOLD_EVERY (1 * USEC_PER_SEC) /* that it is over its limit */
#define JOBS_KEPT 64
#define JOB_KEPT_FOR (10 * USEC_PER_MINUTE)

/* polkit */
#define POLKIT_TIMEOUT (10 * USEC_PER_SEC)          /* of its answer */
#define POLKIT_PERSON_TIMEOUT (2 * USEC_PER_MINUTE) /* ... where it may ask for a password first */
#define POLICY_PERSON_MAX 4                         /* such questions of one user at once */

#define BUS_CHANGED_INTERVAL (1 * USEC_PER_SEC)
#define BUS_RECONNECT_INTERVAL (1 * USEC_PER_SEC)
#define BUS_CHANGED_PER_TURN 64                /* devices whose changes are told in one turn of the loop */
#define BUS_CLOCK_INTERVAL (15 * USEC_PER_SEC) /* between two looks whether the clock is synchronised */
#define SUBSCRIBERS_MAX 64                     /* of root, and as many of all others */
#define SUBSCRIBERS_USER_MAX 16
#define SUBSCRIBER_QUEUE_MAX 1000
#define LIST_DEVICES_MAX 1000
#define MANAGED_OBJECTS_PER_TURN 64 /* of GetManagedObjects */
#define JOB_RESULTS_PER_TURN 1000
#define MANAGED_WALKS_MAX 64 /* that wait for their answers */
#define MANAGED_WALKS_SENDER_MAX 1
/* gatehousectl's: what a driver does may take that long */
#define CALL_TIMEOUT (LINK_CALL_TIMEOUT + 5 * USEC_PER_SEC)
