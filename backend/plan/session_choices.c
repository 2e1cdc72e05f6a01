/* The algorithms of a session's convolutions. They are chosen before a plan's fusion, so that queries during
 * fusion get final answers. Choices are written as text for checkpoints and can be imposed from such text.
 *
 * Format of the text: for each kind of device a line "device", TAB, name, TAB, driver, and below it a line
 * for each convolution: the algorithm's name ('-': chosen by the heuristic), a blank, the descriptor. Nothing
 * is timed here.
 */
#include "session.h"

#include "host/log.h"

#include <stdlib.h>
#include <string.h>

static const char device_word[] = "device\t", by_heuristic[] = "-";

/* ---- Equal devices ------------------------------------------------------------------------------------ */

static bool alike(p2p_device *a, p2p_device *b) {
    const p2p_device_info *one = p2p_device_describe(a), *other = p2p_device_describe(b);
    return strcmp(one->name, other->name) == 0 && strcmp(one->driver, other->driver) == 0;
}

/* The first replica with an equal device. Equal devices use the same algorithms. */
static int first_alike(const p2p_session *session, int replica) {
    int first = 0;
    while (!alike(session->replicas[first].device, session->replicas[replica].device)) first++;
    return first;
}

static p2p_tune mode_of(const p2p_session *session, p2p_device *device) {
    const p2p_tune mode = session->options.tuning.mode;
    const p2p_device_info *info = p2p_device_describe(device);
    if (mode != P2P_TUNE_AUTO) return mode;
    return info->type == P2P_DEVICE_CPU || info->measures_on_request ? P2P_TUNE_STORED : P2P_TUNE_MEASURE;
}

/* ---- Text --------------------------------------------------------------------------------------------- */

/* A line of the text: [at, at + length), and the beginning of the next. */
typedef struct {
    const char *at;
    size_t length;
    const char *next;
} text_line;

static text_line line_at(const char *text) {
    const size_t length = strcspn(text, "\n");
    return (text_line){text, length, text + length + (text[length] == '\n')};
}

static bool begins(const text_line *line, const char *word) {
    const size_t length = strlen(word);
    return line->length >= length && memcmp(line->at, word, length) == 0;
}

static p2p_status parse_choice(const text_line *line, char name[P2P_CHOICE_NAME], p2p_op *op) {
    const char *blank = memchr(line->at, ' ', line->length);
    const size_t name_length = blank ? (size_t)(blank - line->at) : 0;
    char text[P2P_OP_TEXT];
    if (name_length == 0 || name_length >= P2P_CHOICE_NAME || line->length - name_length > sizeof text)
        return p2p_fail(P2P_INPUT, "'%.*s' is not a choice of a convolution",
                        (int)(line->length < 64 ? line->length : 64), line->at);
    memcpy(name, line->at, name_length);
    name[name_length] = '\0';
    if (strcmp(name, by_heuristic) == 0) name[0] = '\0';
    memcpy(text, blank + 1, line->length - name_length - 1);
    text[line->length - name_length - 1] = '\0';
    if (p2p_op_parse(text, op) != P2P_OK || p2p_op_validate(op) != P2P_OK)
        return p2p_fail(P2P_INPUT, "a saved choice: %s", p2p_message());
    if (p2p_op_is_convolution(op)) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s is not a convolution, so it has no choice", p2p_kind_name(op->kind));
}

/* The first line of the section of devices equal to this one; NULL if there is none. */
static const char *find_section(const char *text, p2p_device *device) {
    const p2p_device_info *info = p2p_device_describe(device);
    char wanted[sizeof device_word + sizeof info->name + sizeof info->driver + 2];
    snprintf(wanted, sizeof wanted, "%s%s\t%s", device_word, info->name, info->driver);
    while (text && *text) {
        const text_line line = line_at(text);
        if (line.length == strlen(wanted) && begins(&line, wanted)) return line.next;
        text = line.next;
    }
    return NULL;
}

/* Finds a convolution in a section and copies the name of its algorithm. */
static p2p_status find_imposed(const char *section, const p2p_op *op, char name[P2P_CHOICE_NAME],
                               bool *found) {
    *found = false;
    while (*section && !*found) {
        const text_line line = line_at(section);
        p2p_op imposed;
        if (begins(&line, device_word)) return P2P_OK;
        P2P_TRY(parse_choice(&line, name, &imposed));
        *found = p2p_op_equal(&imposed, op);
        section = line.next;
    }
    return P2P_OK;
}

static p2p_status check_text(const char *text) {
    while (*text) {
        const text_line line = line_at(text);
        char name[P2P_CHOICE_NAME];
        p2p_op op;
        if (!begins(&line, device_word)) P2P_TRY(parse_choice(&line, name, &op));
        text = line.next;
    }
    return P2P_OK;
}

/* ---- Choosing ----------------------------------------------------------------------------------------- */

p2p_status session_check_tuning(p2p_session *session) {
    const p2p_tuning *tuning = &session->options.tuning;
    for (int r = 0; r < session->replica_count; r++)
        if (mode_of(session, session->replicas[r].device) >= P2P_TUNE_MEASURE && !tuning->clock)
            return p2p_fail(P2P_INVALID, "a session that measures needs a clock");
    if (!tuning->imposed) return P2P_OK;
    P2P_TRY(check_text(tuning->imposed));
    session->imposed = strdup(tuning->imposed);
    return session->imposed ? P2P_OK : plan_no_memory("a session's choices");
}

const session_choice *session_find_choice(const p2p_session *session, int replica, const p2p_op *op) {
    const p2p_op plain = p2p_op_plain_convolution(op);
    const int first = first_alike(session, replica);
    for (int i = 0; i < session->choice_count; i++) {
        const session_choice *known = &session->choices[i];
        if (known->replica == first && p2p_op_equal(&known->op, &plain)) return known;
    }
    return NULL;
}

static p2p_status append(p2p_session *session, int replica, const p2p_op *plain) {
    session_choice *choices =
        ir_grow(session->choices, session->choice_count, &session->choice_capacity, sizeof *session->choices);
    if (!choices) return plan_no_memory("a session's choices");
    session->choices = choices;
    choices[session->choice_count++] = (session_choice){.replica = replica, .op = *plain};
    return P2P_OK;
}

static p2p_status choose_way(p2p_session *session, p2p_device *device, session_choice *known) {
    const char *section = find_section(session->imposed, device);
    p2p_tune mode = mode_of(session, device);
    if (section) {
        bool found;
        P2P_TRY(find_imposed(section, &known->op, known->choice.name, &found));
        if (found) {
            const p2p_status status = p2p_operation_impose(device, &known->op, known->choice.name);
            if (status != P2P_UNSUPPORTED) return status;
            p2p_warn("%s: %s; from here on results differ in their last bits", p2p_device_address(device),
                     p2p_message());
        }
        mode = P2P_TUNE_OFF; /* other convolutions do not measure either, so results stay reproducible */
    }
    return p2p_operation_choose(device, &known->op, mode, session->options.tuning.clock, &known->choice);
}

/* Chooses on the first of equal devices (if `fresh`), and imposes its choice on the others. */
static p2p_status choose_for(plan_part *part, session_choice *known, bool fresh) {
    p2p_session *session = part->session;
    if (fresh) return choose_way(session, part->device, known);
    if (known->replica == part->replica) return P2P_OK;
    return p2p_operation_impose(part->device, &known->op, known->choice.name);
}

/* Describes the node with its filter as it will be read. Devices that never request another storage are not
 * queried: their queries may test algorithms that are not chosen. */
static p2p_status describe_as_read(const plan_part *part, const plan_node *node, p2p_op *op) {
    plan_form form;
    plan_describe(part, node, op);
    if (!p2p_device_describe(part->device)->derives_filters) return P2P_OK;
    P2P_TRY(plan_find_form(part, node, &form));
    if (form.accepted) *op = form.op;
    return P2P_OK;
}

/* Appends the part's convolutions that have no choice yet. */
static p2p_status collect(plan_part *part) {
    p2p_session *session = part->session;
    const int first = first_alike(session, part->replica);
    for (int i = 0; i < part->node_count; i++) {
        p2p_op op;
        if (!p2p_op_is_convolution(&part->nodes[i].op)) continue;
        P2P_TRY(describe_as_read(part, &part->nodes[i], &op));
        if (session_find_choice(session, part->replica, &op)) continue;
        const p2p_op plain = p2p_op_plain_convolution(&op);
        P2P_TRY(append(session, first, &plain));
    }
    return P2P_OK;
}

p2p_status session_choose(plan_part *part) {
    p2p_session *session = part->session;
    const p2p_tuning *tuning = &session->options.tuning;
    if (!p2p_device_has_choices(part->device)) return P2P_OK;
    const int before = session->choice_count;
    P2P_TRY(collect(part));
    const int total = session->choice_count - before;
    for (int i = 0; i < session->choice_count; i++) {
        session_choice *known = &session->choices[i];
        if (known->replica != first_alike(session, part->replica)) continue;
        P2P_TRY(choose_for(part, known, i >= before));
        if (i >= before && tuning->progress)
            tuning->progress(tuning->context, i - before + 1, total, &known->op, &known->choice);
    }
    return P2P_OK;
}

/* ---- Access to choices -------------------------------------------------------------------------------- */

int p2p_session_choice_count(const p2p_session *session) {
    return session->choice_count;
}

void p2p_session_choice(const p2p_session *session, int index, const p2p_op **op, const p2p_choice **choice) {
    *op = &session->choices[index].op;
    *choice = &session->choices[index].choice;
}

/* Prints the section of one kind of device at `text`, which is large enough, and returns its end. */
static char *print_section(const p2p_session *session, int replica, char *text) {
    const p2p_device_info *info = p2p_device_describe(session->replicas[replica].device);
    text += sprintf(text, "%s%s\t%s\n", device_word, info->name, info->driver);
    for (int i = 0; i < session->choice_count; i++) {
        const session_choice *known = &session->choices[i];
        if (known->replica != replica) continue;
        text += sprintf(text, "%s ", known->choice.name[0] ? known->choice.name : by_heuristic);
        text += p2p_op_print(&known->op, text, P2P_OP_TEXT);
        *text++ = '\n';
    }
    *text = '\0';
    return text;
}

p2p_status p2p_session_choices_text(const p2p_session *session, char **text) {
    const size_t line = P2P_CHOICE_NAME + P2P_OP_TEXT + 2, head = sizeof device_word + 512 + 4;
    *text = malloc((size_t)session->choice_count * line + (size_t)session->replica_count * head + 1);
    if (!*text) return plan_no_memory("a session's choices");
    char *end = *text;
    *end = '\0';
    for (int r = 0; r < session->replica_count; r++)
        if (first_alike(session, r) == r && session->choice_count > 0) end = print_section(session, r, end);
    return P2P_OK;
}
