/* Descriptors of cuDNN's double: what attributes each type has, their values, and refusals.
 *
 * A descriptor lives until the caller destroys it and no other descriptor refers to it. All functions are
 * called with the library's lock held (dnn_api.c).
 */
#ifndef DNN_DESCRIPTOR_H
#define DNN_DESCRIPTOR_H

#include "../machine.h"

#include <cudnn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dnn_descriptor dnn_descriptor;

typedef struct {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    void *values;
} dnn_attribute;

struct dnn_descriptor {
    cudnnBackendDescriptorType_t type;
    bool final;
    int references; /* the caller's and those of other descriptors */
    int attribute_count;
    dnn_attribute *attributes;
    dnn_descriptor *next; /* of the registry */
};

/* ---- Refusals ------------------------------------------------------------------------------------------ */

/* Notes are for cudnnGetLastErrorString. A request that is not supported is noted, and is no misuse. */

/* The name of the public function that is running, for messages. */
void dnn_begin(const char *call);

/* ---- Life ---------------------------------------------------------------------------------------------- */

dnn_descriptor *dnn_new(cudnnBackendDescriptorType_t type);
void dnn_release(dnn_descriptor *descriptor);
/* The caller gets a descriptor, and destroys it. */
void dnn_register(dnn_descriptor *descriptor);
void dnn_unregister(dnn_descriptor *descriptor);
/* The caller's descriptor, or NULL after a refusal: it is NULL, was destroyed, or never was one. */
dnn_descriptor *dnn_live(const void *descriptor);
const char *dnn_type_name(cudnnBackendDescriptorType_t type);

/* ---- Attributes ---------------------------------------------------------------------------------------- */

/* Checks as cudnnBackendSetAttribute does, and stores a copy. */
cudnnStatus_t dnn_set(dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t count, const void *values);
/* Stores without checks. */
void dnn_put(dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
             int64_t count, const void *values);
/* What all gettings have in common: name, type, room. */
cudnnStatus_t dnn_check_get(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t type, int64_t room, const void *values);
/* Copies values out; `count` of them exist. */
void dnn_give(cudnnBackendAttributeType_t type, int64_t room, int64_t *counted, void *values, int64_t count,
              const void *from);
/* Refuses if an attribute that must be set is not. */
cudnnStatus_t dnn_check_required(const dnn_descriptor *descriptor);

const dnn_attribute *dnn_find(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name);
int64_t dnn_int(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, int64_t index);
int dnn_enum(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name);
bool dnn_bool(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name);
/* NULL if it isn't set. */
dnn_descriptor *dnn_part(const dnn_descriptor *descriptor, cudnnBackendAttributeName_t name, int64_t index);
size_t dnn_size_of(cudnnBackendAttributeType_t type);

#endif
