/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked with the whole of a room: that it links at all shows that the room calls nobody above it. */

int main(void)
{
    return 0;
}
