/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bthome-seal ADDRESS KEY: encrypts as a sensor of BTHome version 2 does. Of each line "COUNTER OBJECTS" of its input,
 * the latter in hex, it prints the service data, in hex. The bind key of a test is no secret. */
#include <inttypes.h>
#include <nettle/ccm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 16
#define ADDRESS_SIZE 6
#define OBJECTS_MAX 64
#define TAG_SIZE 4
#define INFO 0x41 /* version 2, encrypted */

/* The number of bytes; `skip` stands between them. */
static size_t read_hex(const char *text, const char *skip, uint8_t *bytes, size_t size)
{
    size_t n = 0;
    unsigned byte;

    while (n < size && sscanf(text, "%2x", &byte) == 1) {
        bytes[n++] = (uint8_t)byte;
        text += 2;
        text += strspn(text, skip);
    }
    return *text ? 0 : n;
}

int main(int argc, char **argv)
{
    uint8_t key[KEY_SIZE], address[ADDRESS_SIZE], objects[OBJECTS_MAX], sealed[OBJECTS_MAX + TAG_SIZE];
    char text[2 * OBJECTS_MAX + 1];
    struct ccm_aes128_ctx ccm;
    uint32_t counter;

    if (argc != 3 || read_hex(argv[1], ":", address, sizeof(address)) != sizeof(address) ||
        read_hex(argv[2], "", key, sizeof(key)) != sizeof(key)) {
        fprintf(stderr, "bthome-seal: expected ADDRESS and a KEY of 32 hex digits\n");
        return 2;
    }
    ccm_aes128_set_key(&ccm, key);
    while (scanf("%" SCNu32 " %128s", &counter, text) == 2) {
        uint8_t tail[4] = {(uint8_t)counter, (uint8_t)(counter >> 8), (uint8_t)(counter >> 16),
                           (uint8_t)(counter >> 24)};
        uint8_t nonce[ADDRESS_SIZE + 2 + 1 + sizeof(tail)];
        size_t n = read_hex(text, "", objects, sizeof(objects));

        memcpy(nonce, address, ADDRESS_SIZE);
        memcpy(nonce + ADDRESS_SIZE, (const uint8_t[]){0xd2, 0xfc, INFO}, 3);
        memcpy(nonce + ADDRESS_SIZE + 3, tail, sizeof(tail));
        ccm_aes128_encrypt_message(&ccm, sizeof(nonce), nonce, 0, NULL, TAG_SIZE, n + TAG_SIZE, sealed, objects);
        printf("%02x", INFO);
        for (size_t i = 0; i < n; i++)
            printf("%02x", sealed[i]);
        for (size_t i = 0; i < sizeof(tail); i++)
            printf("%02x", tail[i]);
        for (size_t i = 0; i < TAG_SIZE; i++)
            printf("%02x", sealed[n + i]);
        printf("\n");
    }
    return 0;
}
