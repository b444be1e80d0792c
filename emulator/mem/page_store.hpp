// Where the pages of all RAMs lie, and how many refer to each. A reference is the plain address of a page; the counts lie apart from the
// pages, at the head of the slab that a page's address leads to. All in all a page costs the host six bytes besides its own.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::page_store {

/// The page of zeros that stands for all that nobody has written. Never written; not counted.
u8* zero_page();
/// A new page with the contents of `page`, and one reference to it.
u8* copy_of(const u8* page);
/// One more reference to a page.
void refer(u8* page);
/// One reference fewer; with the last one the page goes.
void release(u8* page);
/// True when there is one reference to the page, so that who holds it may write. Never for the page of zeros.
bool sole(const u8* page);
/// Bytes of the host that pages and counts lie in, for accounting.
u64 held_bytes();

} // namespace trapeze::page_store
