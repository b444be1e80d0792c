#define FENCE 1
#include "page_touch.h"
