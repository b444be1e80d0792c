// The containers of a session in its recording: as JSON what each was asked to be, and as files the layers that their images lay on each other.
#pragma once

#include "scenarios/session.hpp"

#include <nlohmann/json.hpp>

namespace trapeze::scenarios {

using RecordedFiles = std::map<std::string, std::vector<u8>>;

/// Null when there are none. The error names what cannot be recorded: a folder of the host when the recording is to hold all (`with_files`), an
/// argument that is no text.
Result<nlohmann::json> record_containers(const SessionConfig& config, bool with_files, RecordedFiles& files);
/// The other way. Untrusted: folders of the host are refused. Pre: `json` is not null; a member that is missing or of another type throws.
Result<void> replay_containers(const nlohmann::json& json, const RecordedFiles& files, bool trusted, SessionConfig& config);
/// Of names, sizes and times of all that lies in the folders of the host that containers use; 0 when they use none.
u32 folders_checksum(const SessionConfig& config);

} // namespace trapeze::scenarios
