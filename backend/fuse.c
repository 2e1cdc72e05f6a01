#include "plan.h"
p2p_status plan_fuse(plan_part *part) { (void)part; return P2P_OK; }
