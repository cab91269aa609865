// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../interfaces/IMultiverse.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { Answer, ROOT, VerseId } from "../types/VerseId.sol";

/// @notice Where a question sorts into a path.
/// @param parent The verse of the whole path.
/// @param stem The verse of the answers before the question.
/// @param index How many answers stand before the question; the path's length when it sorts last.
struct Place {
    VerseId parent;
    VerseId stem;
    uint256 index;
}

/// @notice Canonical paths: answers in strictly ascending question id, each with an outcome that exists.
library Paths {
    /// @notice The verse a path leads to. TypeScript twin: `verseId` in `sdk/ids.ts`.
    function verseId(Answer[] calldata path) internal pure returns (VerseId verse) {
        verse = ROOT;
        for (uint256 i = 0; i < path.length; ++i) {
            verse = _append(verse, path, i);
        }
    }

    /// @notice Finds the place of `question` in a path that must not hold it already.
    function locate(
        Answer[] calldata path,
        QuestionId question
    ) internal pure returns (VerseId parent, VerseId stem, uint256 index) {
        index = path.length;
        for (uint256 i = 0; i < path.length; ++i) {
            if (index == path.length && !(path[i].question < question)) {
                if (path[i].question == question) revert IMultiverse.QuestionInPath(question);
                (stem, index) = (parent, i);
            }
            parent = _append(parent, path, i);
        }
        if (index == path.length) stem = parent;
    }

    /// @notice The verse of a path with one more answer inserted where `locate` found its question's
    function insert(
        Answer[] calldata path,
        VerseId stem,
        uint256 index,
        QuestionId question,
        uint256 outcome
    ) internal pure returns (VerseId verse) {
        verse = stem.child(question, outcome);
        for (uint256 i = index; i < path.length; ++i) {
            verse = verse.child(path[i].question, path[i].outcome);
        }
    }

    /// @dev An outcome out of range must never get past here: outcome 0xff would name the slot of a complete set.
    function _append(VerseId verse, Answer[] calldata path, uint256 i) private pure returns (VerseId) {
        QuestionId question = path[i].question;
        uint256 outcome = path[i].outcome;
        if (i > 0 && !(path[i - 1].question < question)) revert IMultiverse.PathNotAscending(i);
        if (outcome >= question.outcomeCount()) revert IMultiverse.OutcomeOutOfRange(question, outcome);
        return verse.child(question, outcome);
    }
}
