// The images of a person: a folder of the host that is an OCI image layout, so that other tools read it. Blobs are named by what they
// hold and never changed; the one file that changes is index.json, which is replaced whole. So a reader needs no lock, and whoever is
// killed at any step leaves the images as they were before or after, and at worst blobs that nobody names, which the next writer removes.
#pragma once

#include "container-sim/engine/host_files.hpp"
#include "container-sim/engine/image.hpp"

namespace trapeze::container {

/// A row of `images`.
struct StoredImage {
    std::vector<std::string> names;
    std::string id, manifest_digest, created;
    u64 size = 0;
};

class ImageStore {
  public:
    explicit ImageStore(std::string folder) : folder_(std::move(folder)) {}
    const std::string& folder() const { return folder_; }

    /// Puts images in; a name that another image had is taken from it, as Docker does.
    Result<void> add(const std::vector<Image>& images);
    Result<std::vector<StoredImage>> list() const;
    /// By name, or by the beginning of its id that no other image shares. Digests are verified.
    Result<Image> find(const std::string& name_or_id) const;
    Result<bool> has(const std::string& name_or_id) const;
    Result<void> tag(const std::string& name_or_id, const std::string& new_name);
    /// Removes a name, and the image with its last name; a sentence for each ("Untagged: ", "Deleted: "), as Docker prints them.
    Result<std::vector<std::string>> remove(const std::string& name_or_id);

    /// What `build` remembers: the digest of a layer's archive by the key of the step that made it.
    std::optional<std::string> cached(const std::string& key) const;
    Result<void> remember(const std::string& key, const std::string& digest, const Bytes& archive);
    Result<Bytes> blob(const std::string& digest) const;

  private:
    struct Entry {
        std::string media_type, digest, name; ///< of a manifest; the name may be empty
        u64 size = 0;
    };
    Result<std::vector<Entry>> read_index() const;
    Result<void> write_index(const std::vector<Entry>& entries) const;
    Result<Image> load(const std::vector<Entry>& entries, const std::string& digest) const;
    Result<std::string> resolve(const std::vector<Entry>& entries, const std::string& name_or_id) const;
    static void take_name(std::vector<Entry>& entries, const std::string& name, const std::string& new_digest);
    Result<HostLock> begin_change() const;
    Result<void> put_blob(const std::string& digest, const Bytes& bytes) const;
    void collect(const std::vector<Entry>& entries) const;
    std::string blob_file(const std::string& digest) const { return folder_ + "/blobs/sha256/" + hex_of(digest); }

    std::string folder_;
};

/// $TRAPEZE_STORE, or trapeze/images below $XDG_DATA_HOME or ~/.local/share.
std::string default_store_folder();

} // namespace trapeze::container
