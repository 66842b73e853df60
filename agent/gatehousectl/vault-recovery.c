/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vault recovery-key: made here, given to the agent, and printed once the agent has committed it; nobody keeps it. */
#include "ctl.h"

#include "base/encode.h"
#include "base/limits.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define GROUP 4 /* hex digits between two dashes */

static void print(const uint8_t key[KEYFILE_SIZE])
{
    char text[HEX_SIZE(KEYFILE_SIZE)];

    hex_encode(key, KEYFILE_SIZE, text);
    for (size_t i = 0; text[i]; i += GROUP)
        printf("%s%.*s", i > 0 ? "-" : "", GROUP, text + i);
    putchar('\n');
    explicit_bzero(text, sizeof(text));
}

int verb_vault_recovery_key(struct ctl *c)
{
    _cleanup_close_ int fd = -EBADF;
    uint8_t key[KEYFILE_SIZE];
    struct stat st;
    int r;

    if (getrandom(key, sizeof(key), 0) != sizeof(key)) {
        fprintf(stderr, "gatehousectl: no random bytes: %m\n");
        return EXIT_FAILURE;
    }
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
        fprintf(stderr, "gatehousectl: warning: everybody can read the file that the key goes to\n");
    fd = key_memfd(key, sizeof(key));
    r = fd < 0 ? EXIT_FAILURE : ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "SetRecoveryKey", NULL, "h", fd);
    if (r == 0)
        print(key);
    explicit_bzero(key, sizeof(key));
    if (r == 0 && !c->quiet)
        fprintf(stderr,
                "Write it down and keep it where neither vault nor keyfile is: it is not shown again. It opens the "
                "vault,\nand backups made from now on, without keyfile and bind value, until the next rekey: "
                "gatehoused --recover\n");
    return r;
}
