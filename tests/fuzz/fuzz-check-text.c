/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The texts that a check reads of the machine and of the agent: a kernel's command line, a device's section, a finding.
 */
#include "base/json.h"
#include "check/local.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ json_object *o = NULL;
    struct findings f = {0};
    char *text = malloc(size + 1), port[64];

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    (void)check_cmdline_console(text, "ttyAMA0");
    if (check_serial_port(text, port, sizeof(port)) && (port[0] != '/' || strlen(port) >= sizeof(port)))
        abort();
    if (json_parse(text, size, &o, NULL) >= 0 && findings_add_json(&f, o) && f.n != 1)
        abort();
    findings_close(&f);
    findings_done(&f);
    free(text);
    return 0;
}
