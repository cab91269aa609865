// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IMultiverse } from "./interfaces/IMultiverse.sol";
import { IMultiverseLens } from "./interfaces/IMultiverseLens.sol";
import { Paths } from "./libraries/Paths.sol";
import { PositionId, PositionIds } from "./types/PositionId.sol";
import { Answer, ROOT, VerseId } from "./types/VerseId.sol";

/// @title A lens on the multiverse
contract MultiverseLens is IMultiverseLens {
    using Paths for Answer[];

    /// @inheritdoc IMultiverseLens
    IMultiverse public immutable multiverse;

    constructor(IMultiverse multiverse_) {
        multiverse = multiverse_;
    }

    /// @inheritdoc IMultiverseLens
    function verses(Answer[][] calldata paths) external view returns (VerseView[] memory views) {
        views = new VerseView[](paths.length);
        for (uint256 i = 0; i < paths.length; ++i) views[i] = _verse(paths[i]);
    }

    /// @inheritdoc IMultiverseLens
    function balances(
        address owner,
        Answer[][] calldata paths,
        address[] calldata tokens
    ) external view returns (uint256[][] memory amounts) {
        amounts = new uint256[][](paths.length);
        for (uint256 i = 0; i < paths.length; ++i) {
            VerseId verse = paths[i].verseId();
            amounts[i] = new uint256[](tokens.length);
            for (uint256 j = 0; j < tokens.length; ++j) {
                amounts[i][j] = multiverse.multiverseMap(verse, tokens[j], owner);
            }
        }
    }

    /// @inheritdoc IMultiverseLens
    function pullUps(
        address owner,
        Answer[][] calldata paths,
        address[] calldata tokens
    ) external view returns (PullUp[] memory found) {
        uint256 most = 0;
        for (uint256 i = 0; i < paths.length; ++i) most += paths[i].length * tokens.length;
        found = new PullUp[](most);
        uint256 count = 0;
        for (uint256 i = 0; i < paths.length; ++i) {
            paths[i].verseId(); // reverts unless the path is canonical
            for (uint256 index = 0; index < paths[i].length; ++index) {
                for (uint256 j = 0; j < tokens.length; ++j) {
                    PullUp memory next = _pullUp(owner, paths[i], index, tokens[j]);
                    if (next.amount != 0 && !_isKnown(found, count, next)) found[count++] = next;
                }
            }
        }
        assembly ("memory-safe") {
            mstore(found, count)
        }
    }

    function _verse(Answer[] calldata path) private view returns (VerseView memory seen) {
        seen.verse = path.verseId();
        seen.parents = new VerseId[](path.length);
        (seen.isAlive, seen.isCertain) = (true, true);
        for (uint256 i = 0; i < path.length; ++i) {
            seen.parents[i] = _fold(_without(path, i));
            uint256 needed = 1 << path[i].outcome;
            uint256 live = multiverse.live(path[i].question);
            if (live & needed == 0) seen.isAlive = false;
            if (live != needed) seen.isCertain = false;
        }
    }

    /// @dev The pull-up that takes the answer at `index` off the path.
    function _pullUp(
        address owner,
        Answer[] calldata path,
        uint256 index,
        address token
    ) private view returns (PullUp memory next) {
        next.token = token;
        next.question = path[index].question;
        next.path = _without(path, index);
        next.parent = _fold(next.path);
        next.survivors = multiverse.live(next.question);
        next.amount = type(uint256).max;
        Answer[] memory child = path;
        for (uint256 outcome = 0; next.survivors >> outcome != 0; ++outcome) {
            if ((next.survivors >> outcome) & 1 == 0) continue;
            child[index].outcome = uint8(outcome);
            PositionId id = PositionIds.derive(_fold(child), token);
            uint256 amount = multiverse.balanceOf(owner, PositionId.unwrap(id));
            if (amount < next.amount) next.amount = amount;
        }
    }

    function _isKnown(PullUp[] memory found, uint256 count, PullUp memory next) private pure returns (bool) {
        for (uint256 i = 0; i < count; ++i) {
            PullUp memory one = found[i];
            if (one.parent == next.parent && one.question == next.question && one.token == next.token) return true;
        }
        return false;
    }

    function _without(Answer[] calldata path, uint256 index) private pure returns (Answer[] memory rest) {
        rest = new Answer[](path.length - 1);
        for (uint256 i = 0; i < rest.length; ++i) rest[i] = path[i < index ? i : i + 1];
    }

    /// @dev The verse of a path that is known to be canonical.
    function _fold(Answer[] memory path) private pure returns (VerseId verse) {
        verse = ROOT;
        for (uint256 i = 0; i < path.length; ++i) verse = verse.child(path[i].question, path[i].outcome);
    }
}
