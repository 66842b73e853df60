/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is noted at the search of the table: some worlds of each walk in which a row of the table is taken. Who breaks
 * that row begins there (mutations.py), and not a million worlds before: until the row is taken the broken machine does
 * what the whole one did. */
#include "rotation-model.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 256
#define WALKS_MAX 64
#define SEEDS_EACH 24

struct seeds {
    uint32_t met; /* worlds, of which so many at most are kept */
    struct packed keys[SEEDS_EACH];
};

struct record {
    uint8_t row, walk;
    struct packed key;
};

static struct seeds (*all)[WALKS_MAX];
static bool touched[ROWS_MAX];

const struct rotation_row *__real_rotation_table_find(enum rotation_state state, enum rotation_event_type event,
                                                      uint32_t facts);
const struct rotation_row *__wrap_rotation_table_find(enum rotation_state state, enum rotation_event_type event,
                                                      uint32_t facts);

/* The rows for each state and event, in their order: the machine looks for one 250 million times. */
static const struct rotation_row *index_rows[ROTATION_STATES][ROTATION_EVENTS][ROWS_MAX];
static bool indexed;

static void make_index(void)
{
    for (enum rotation_state s = 0; s < ROTATION_STATES; s++)
        for (enum rotation_event_type e = 0; e < ROTATION_EVENTS; e++) {
            size_t n = 0;

            for (size_t i = 0; i < rotation_table_rows; i++)
                if (rotation_table[i].event == e && rotation_table[i].states & STATE_BIT(s))
                    index_rows[s][e][n++] = &rotation_table[i];
        }
    indexed = true;
}

/* The linker leads the machine here. In the first worlds of a walk the agent's own search is made too. */
const struct rotation_row *__wrap_rotation_table_find(enum rotation_state state, enum rotation_event_type event,
                                                      uint32_t facts)
{
    const struct rotation_row *const *rows = index_rows[state][event], *row;

    if (!indexed)
        make_index();
    while (*rows && ((facts & (*rows)->with) != (*rows)->with || facts & (*rows)->without))
        rows++;
    row = *rows;
    if (carrying && row != __real_rotation_table_find(state, event, facts)) {
        fprintf(stderr, "rotation-model: the table's search finds another row in %s\n", rotation_state_name(state));
        abort();
    }
    if (all && row)
        touched[row - rotation_table] = true;
    return row;
}

void seeds_begin(void)
{
    all = calloc(ROWS_MAX, sizeof(*all));
    if (!all)
        abort();
}

/* The rows that were taken since the last call, by what may follow this world. The first worlds that are met are kept,
 * then ever fewer of the later ones; none with a commit under way, whose row has a number that may be another's there.
 */
void seeds_note(unsigned walk, const struct packed *key, bool rests)
{
    for (size_t i = 0; all && i < rotation_table_rows; i++) {
        struct seeds *s = &all[i][walk];
        uint32_t at = s->met < SEEDS_EACH ? s->met : (s->met * 2654435761u >> 8) % s->met;

        if (!touched[i])
            continue;
        touched[i] = false;
        s->met += rests;
        if (rests && at < SEEDS_EACH)
            s->keys[at] = *key;
    }
}

int seeds_write(const char *path)
{
    FILE *f = fopen(path, "we");

    for (size_t row = 0; f && row < rotation_table_rows; row++)
        for (size_t walk = 0; walk < WALKS_MAX; walk++)
            for (uint32_t i = 0; i < MIN_OF(all[row][walk].met, (uint32_t)SEEDS_EACH); i++) {
                struct record r = {(uint8_t)row, (uint8_t)walk, all[row][walk].keys[i]};

                fwrite(&r, sizeof(r), 1, f);
            }
    return f && fclose(f) == 0 ? 0 : -1;
}

/* Those of one row and walk into the set, or of all rows when there is no such row; how many. */
uint32_t seeds_read(const char *path, unsigned row, unsigned walk, struct set *set)
{
    FILE *f = fopen(path, "re");
    struct record r;

    while (f && fread(&r, sizeof(r), 1, f) == 1)
        if ((r.row == row || row >= rotation_table_rows) && r.walk == walk)
            set_add(set, &r.key, 0, 0);
    if (f)
        fclose(f);
    return set->n;
}
