#define FENCE 0
#include "page_touch.h"
