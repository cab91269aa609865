// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "./IMultiverse.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { Answer, VerseId } from "../types/VerseId.sol";

/// @title A lens on the multiverse
/// @notice Batched reads over paths, for wallets and indexers. It keeps no state and the ledger does not know it. Every
/// path must be canonical and of questions that were asked: the errors are the ledger's own. Amounts are in the token's
/// smallest unit.
interface IMultiverseLens {
    /// @notice Where a verse stands.
    /// @param verse Its id; ROOT for the empty path.
    /// @param parents One for each answer of the path, in its order: the verse without that answer.
    /// @param isAlive Whether every answer is still possible, time taken into account.
    /// @param isCertain Whether every answer has been given; implies `isAlive`. True for ROOT.
    struct VerseView {
        VerseId verse;
        VerseId[] parents;
        bool isAlive;
        bool isCertain;
    }

    /// @notice A pull-up that would succeed now.
    /// @param token The token.
    /// @param parent The verse it leads to.
    /// @param question The question to pull out of.
    /// @param path The parent's path: with `question`, what `pullUp` and the levels of `exit` take.
    /// @param survivors Bit mask of the outcomes it takes `amount` of.
    /// @param amount The most there is: the least that the owner has in any surviving child.
    struct PullUp {
        address token;
        VerseId parent;
        QuestionId question;
        Answer[] path;
        uint256 survivors;
        uint256 amount;
    }

    /// @notice The ledger that is looked at.
    function multiverse() external view returns (IMultiverse);

    /// @notice Ids, ancestry and fate of the verses with these paths.
    function verses(Answer[][] calldata paths) external view returns (VerseView[] memory);

    /// @notice What `owner` has: `amounts[i][j]` is of `tokens[j]` in the verse of `paths[i]`, at ROOT the ERC-20 balance.
    function balances(
        address owner,
        Answer[][] calldata paths,
        address[] calldata tokens
    ) external view returns (uint256[][] memory amounts);

    /// @notice What `owner` can pull up now, and to where: for each path and each answer in it, the partition of the verse
    /// without that answer. Partitions that give nothing are left out, and none is named twice.
    /// @param paths Verses in which `owner` may hold something; any one sibling stands for its whole partition.
    function pullUps(
        address owner,
        Answer[][] calldata paths,
        address[] calldata tokens
    ) external view returns (PullUp[] memory);
}
