/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The control socket: a unix stream socket (0600); each line a JSON object with "command", each answered by one line,
 * {"ok":true,...} or {"ok":false,"error":s}.
 *
 *     slow               ms [path method device times]       empty acknowledgement, answer later
 *     refuse             code ("4.03", or of HTTP "429") [max_age path method device times]
 *     lose-before-apply  [path method device times]          times 1 unless given; 0: until cleared
 *     lose-after-apply   [path method device times]
 *     apply-late         [path method device times]          connection closed, applied after the next such call
 *     pretend            [path method device times]          answered as if applied
 *     half-answer        [path method device times]          applied, the answer breaks off
 *     stale-read         [path method device times]          a GET shows what was before the last change
 *     deliver                                                what apply-late kept is applied now
 *     snapshot                                               remembers the state
 *     restore                                                puts it back, as from a backup
 *     clear                                                  none of the above any more, no silence
 *     silence            ms                                  datagrams dropped unread
 *     clock              ms                                  what time it is for who asks, since 1970; 0: the real one
 *     restart                                                every DTLS session gone without a word
 *     forget-key         key (an id or an identity)          as deleted behind the agent's back
 *     forget-device      device
 *     add-credential     identity key (hex) [device]         as the operator would
 *     credentials        [device]                            identities, ids, devices, fingerprints; never a key
 *     command            device, point value or body        for the device to carry out; answers its id
 *     settings           device settings (an object)         for the device to take; answers their version
 *     ping                                                   every event until now is on standard output
 *     stats                                                  sessions, requests held back, counts of each device
 *
 * A path of the management calls begins with '/', and those from apply-late to stale-read are for these only; max_age
 * is their Retry-After; where an answer is lost, the connection is closed. A rule's path takes in what is below it; "*"
 * is any segment.
 *
 * An unknown command or key changes nothing. One thread; nothing blocks: a client that does not read is closed. */

#include "commands.h"

#include <poll.h>

#define CONTROL_CLIENTS_MAX 8

struct control;

/* A socket left behind by a killed process is replaced. */
int control_new(const char *path, struct cloud *cloud, struct control **ret, struct error *e);
struct control *control_free(struct control *c);
DEFINE_FREEP(struct control, control_free)

/* Fills up to 1 + CONTROL_CLIENTS_MAX entries; returns how many. The same entries go to control_process() after poll.
 */
size_t control_poll(struct control *c, struct pollfd *fds);
void control_process(struct control *c, const struct pollfd *fds, size_t n);
