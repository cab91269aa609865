// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title reality.eth, version 3
/// @notice Only what is read here.
interface IRealityETH {
    /// @notice The final answer; of the question's reopening, one level deep, if it was settled too soon. Reverts while
    /// there is none.
    function resultForOnceSettled(bytes32 questionId) external view returns (bytes32);

    /// @notice keccak256(abi.encodePacked(templateId, openingTs, question)).
    function getContentHash(bytes32 questionId) external view returns (bytes32);

    /// @notice Who decides when arbitration was asked for.
    function getArbitrator(bytes32 questionId) external view returns (address);

    /// @notice Seconds an answer has to stand unchallenged; 0 when the question does not exist.
    function getTimeout(bytes32 questionId) external view returns (uint32);

    /// @notice What the first answer has to put up, in wei (or in the token's unit).
    function getMinBond(bytes32 questionId) external view returns (uint256);
}
