/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server that a broker names: what is taken of it is a name or an address, and a port, that read back as the same.
 */
#include "base/cleanup.h"
#include "base/limits.h"
#include "uplink/hosts.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    _cleanup_free_ char *text = strndup((const char *)data, n);
    struct host_name host, again;
    char whole[HOST_TEXT_MAX];

    if (!text || hosts_reference(text, 8883, &host) < 0)
        return 0;
    if (host.port == 0 || host.name[0] == 0 || strnlen(host.name, sizeof(host.name)) == sizeof(host.name))
        abort();
    if (strpbrk(host.name, " ,/@%\"\\\n"))
        abort();
    hosts_text(&host, whole);
    if (hosts_reference(whole, 1, &again) < 0 || strcmp(again.name, host.name) != 0 || again.port != host.port)
        abort();
    return 0;
}
