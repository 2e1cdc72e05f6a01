/* cuDNN's header, which follows in the search for headers, and the names that it lacks before 9.8. The
 * library that is opened has them (CUDA_DNN_NEEDED in library/cuda_library.h); their numbers are part of its
 * binary interface. */
#ifndef P2P_CUDNN_H
#define P2P_CUDNN_H

#include_next <cudnn.h>

#if CUDNN_VERSION < 90800
#define CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED    ((cudnnStatus_t)1008)
#define CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR       ((cudnnBackendDescriptorType_t)38)
#define CUDNN_ATTR_ENGINEHEUR_DEVICEPROP          ((cudnnBackendAttributeName_t)204)
#define CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP      ((cudnnBackendAttributeName_t)407)
#define CUDNN_ATTR_ENGINE_DEVICEPROP              ((cudnnBackendAttributeName_t)1307)
#define CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION ((cudnnBackendAttributeName_t)2702)
#endif

#endif
